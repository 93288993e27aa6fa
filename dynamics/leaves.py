"""What an initial distribution knows of a parameter leaf: its fans and its place in the network, read from the model."""

import fnmatch
import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp

from dynamics import trees
from dynamics.axes import extent
from dynamics.dataflow import Use, uses
from dynamics.types import Array, Tree, Variables

ROLES = ('input', 'hidden', 'output', 'bias', 'scale')


class Leaf(NamedTuple):
  """One parameter array. Not a pytree of numbers: a description of static facts.

  Axes that are neither inputs nor outputs count copies: scanned layers, experts, heads that share nothing.
  """

  name: str  # its path, 'a/kernel'
  shape: tuple[int, ...]
  dtype: object
  fan_in: int  # inputs that one output sums over; 1 where one row is read at a time, and for biases and scales
  fan_out: int  # outputs, without the window of a convolution
  role: str  # one of ROLES
  inputs: tuple[int, ...] = ()  # axes it is contracted over, or whose rows are read
  outputs: tuple[int, ...] = ()  # axes along which its outputs lie
  depth: int = 0  # its place in the order of the forward pass
  window: tuple[int, ...] = ()  # those of `inputs` that are places of a convolution's window


def describe(
  apply: Callable[..., Tree],
  variables: Variables,
  x: Tree,
  roles: Mapping[str, str] | None = None,
  fans: Mapping[str, tuple[int, int]] | None = None,
) -> Tree:
  """The tree of `Leaf`s of variables['params'], from one trace of the model; names play no part and nothing is computed.

  What a leaf does to values that depend on x decides:

  - contracted with them (matrix product, convolution, product and sum) it is a weight: fan_in is what is contracted, the
    window and the channels of its group in a convolution, and fan_out the rest. Axes that run along with an axis of the
    other operand (scanned layers, experts) belong to neither.
  - read by index it is an embedding of fan_in 1. If the rows are only summed it is the product with counts of tokens, and
    fan_in is the number of rows.
  - added it is a bias, if it varies along features alone. One that varies along positions, or that is joined to values by a
    concatenation, a `where` or as an initial state, is an input of fan_in 1: position embeddings, class tokens.
  - multiplied it is a scale.

  A weight is an output layer if no weight, itself included, acts after it; else an input layer if it acts on no value that
  depends on a weight; else hidden. Recurrent, scanned and repeated weights act on their own outputs, so they are hidden. An
  embedding is an input layer also where it is the last weight. A leaf with several uses has the fans and the kind of its
  first one, in the order of the forward pass: a tied embedding is an input layer, and the layers before its second use are
  no output layers. A use on constants alone, such as an initial state of zeros, counts where a leaf has no other.

  Factors of one matrix are layers one after the other: in x (A B) and in A B x alike, the factor next to x comes first.
  A kernel that acts on learned queries before they meet x looks like such a factor: state its fans. A vector that
  multiplies inputs of shape (n,) looks like a scale, because these have no axis of features: give (n, 1).

  Args:
    apply: (variables, x) -> outputs, in evaluation mode.
    variables: arrays or `ShapeDtypeStruct`s.
    x: an array or a tree of them; the last axis of floats holds features.
    roles: path pattern -> role, instead of what the model shows ('decoder/*/kernel': 'output').
    fans: path pattern -> (fan_in, fan_out), likewise. The axes stay those that the model shows; where it shows none, the
      last axis holds the outputs and the others the inputs.

  Raises:
    ValueError: a pattern that matches no leaf, an unknown role, or leaves that do not reach an output, or are used in a way
      that is none of the above, and that `roles` and `fans` do not tell.
  """
  named = trees.by_path(variables['params'])
  roles, fans = dict(roles or {}), dict(fans or {})
  for pattern, role in roles.items():
    if role not in ROLES:
      raise ValueError(f'role {role!r} of {pattern!r} is none of {", ".join(ROLES)}')
  for pattern in (*roles, *fans):
    if not any(fnmatch.fnmatch(name, pattern) for name in named):
      raise ValueError(f'no parameter matches {pattern!r}; they are {", ".join(named)}')
  record, reached = uses(apply, variables, x)
  first: dict[int, Use] = {}
  for constant in (False, True):
    for use in record:
      if use.constant == constant and use.leaf in reached:
        first.setdefault(use.leaf, use)
  depth = {leaf: next(i for i, use in enumerate(record) if use is chosen) for leaf, chosen in first.items()}
  weight_leaves = {leaf for leaf, use in first.items() if use.kind not in ('bias', 'scale')}
  acting = [use for use in record if use.leaf in first and use.kind in ('weight', 'rows')]
  followed = frozenset().union(*(use.before for use in acting))
  repeated = {use.leaf for use in acting if use.leaf in use.before and use.inputs == first[use.leaf].inputs}

  def role(use):
    if use.kind in ('bias', 'scale'):
      return use.kind
    if use.kind == 'weight' and use.leaf not in followed:
      return 'output'
    acts_on_x = not use.before & weight_leaves and use.leaf not in repeated
    return 'input' if use.kind == 'data' or acts_on_x else 'hidden'

  def leaf(i, name, value):
    use, shape = first.get(i), jnp.shape(value)
    stated = lambda patterns: next((v for p, v in reversed(patterns.items()) if fnmatch.fnmatch(name, p)), None)
    kind, sides = stated(roles) or (use and role(use)), stated(fans)
    if kind is None or (kind not in ('bias', 'scale') and not (sides or use)):
      return None
    axes = lambda pieces: tuple(sorted({piece.axis for piece in pieces}))
    place, rank = depth.get(i, len(record)), len(shape)
    if use is None:
      inputs, outputs, read = tuple(range(rank - 1)), tuple(range(rank))[-1:], (1, shape[-1] if shape else 1)
    else:
      inputs, outputs = axes(use.inputs), axes(use.outputs)
      read = extent(use.inputs) if use.kind == 'weight' else 1, extent(use.outputs)
    window = axes(use.window) if use else ()
    return Leaf(name, shape, jnp.result_type(value), *(sides or read), kind, inputs, outputs, place, window)

  leaves = [leaf(i, name, value) for i, (name, value) in enumerate(named.items())]
  unknown = [name for name, leaf in zip(named, leaves, strict=True) if leaf is None]
  if unknown:
    raise ValueError(
      f'how the model uses {", ".join(unknown)} cannot be read from its operations, or it does not reach an output: give '
      f'roles={{{unknown[0]!r}: ...}}, one of {", ".join(ROLES)}, and fans={{{unknown[0]!r}: (fan_in, fan_out)}}'
    )
  return jax.tree.unflatten(jax.tree.structure(variables['params']), leaves)


def map_leaves(fn, leaves: Tree, *rest: Tree) -> Tree:
  """`fn(leaf, ...)` at every leaf; a `Leaf` counts as one."""
  return jax.tree.map(fn, leaves, *rest, is_leaf=lambda x: isinstance(x, Leaf))


def weights(leaves: Tree) -> list[Leaf]:
  """The leaves that are neither biases nor scales, in the order of the forward pass."""
  every = jax.tree.leaves(leaves, is_leaf=lambda x: isinstance(x, Leaf))
  return sorted((leaf for leaf in every if leaf.role not in ('bias', 'scale')), key=lambda leaf: leaf.depth)


def matrices(leaf: Leaf, w: Array) -> Array:
  """The leaf's array as (copies, rows, columns) matrices: rows are its inputs, columns its outputs.

  Raises:
    ValueError: a leaf one axis of which holds both inputs and outputs.
  """
  order, sizes = _layout(leaf)
  return jnp.transpose(w, order).reshape(sizes)


def from_matrices(leaf: Leaf, matrices: Array) -> Array:
  """The inverse of `matrices`."""
  order, _ = _layout(leaf)
  inverse = sorted(range(len(order)), key=order.__getitem__)
  return jnp.transpose(matrices.reshape([leaf.shape[k] for k in order]), inverse)


def matrix_shape(leaf: Leaf) -> tuple[int, int, int]:
  """(copies, rows, columns) of `matrices`."""
  return _layout(leaf)[1]


def _layout(leaf: Leaf) -> tuple[tuple[int, ...], tuple[int, int, int]]:
  if {*leaf.inputs} & {*leaf.outputs}:
    raise ValueError(f'{leaf.name} {leaf.shape} holds inputs and outputs along one axis, so it is no matrix')
  copies = tuple(k for k in range(len(leaf.shape)) if k not in (*leaf.inputs, *leaf.outputs))
  parts = (copies, leaf.inputs, leaf.outputs)
  return sum(parts, ()), tuple(math.prod(leaf.shape[k] for k in axes) for axes in parts)
