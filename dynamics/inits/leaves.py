"""What an initial distribution knows of a parameter leaf: its fans and its place in the network."""

import fnmatch
import math
import re
from collections.abc import Mapping
from typing import NamedTuple

import jax

from dynamics import trees
from dynamics.types import Tree

ROLES = ('input', 'hidden', 'output', 'bias', 'scale')


class Leaf(NamedTuple):
  """One parameter array. Not a pytree of numbers: a description of static facts."""

  name: str
  shape: tuple[int, ...]
  dtype: object
  fan_in: int
  fan_out: int
  role: str  # one of ROLES


def describe(params: Tree, roles: Mapping[str, str] | None = None) -> Tree:
  """The tree of `Leaf`s of a flax parameter tree; needs shapes only.

  A leaf called 'bias' is a bias and one called 'scale' a scale. Every other leaf is a weight whose last axis is its
  output (as flax has it): the first in natural order is the input layer, the last the output layer, those between are
  hidden. A leaf whose name ends in 'embedding' has fan_in 1, because a token reads one row,
  and is an input layer wherever it stands.

  Args:
    params: arrays or `ShapeDtypeStruct`s.
    roles: path pattern -> role, where the order of names does not tell ('decoder/*/kernel': 'output').

  Raises:
    ValueError: a pattern that matches no leaf, or an unknown role.
  """
  named = trees.by_path(params)
  roles = dict(roles or {})
  for pattern, role in roles.items():
    if role not in ROLES:
      raise ValueError(f'role {role!r} of {pattern!r} is none of {", ".join(ROLES)}')
    if not any(fnmatch.fnmatch(name, pattern) for name in named):
      raise ValueError(f'no parameter matches {pattern!r}; they are {", ".join(named)}')
  weights = sorted((n for n in named if n.rsplit('/', 1)[-1] not in ('bias', 'scale')), key=_natural)

  def role(name):
    last = name.rsplit('/', 1)[-1]
    stated = [r for pattern, r in roles.items() if fnmatch.fnmatch(name, pattern)]
    if stated:
      return stated[-1]
    if last in ('bias', 'scale'):
      return last
    if last.endswith('embedding'):
      return 'input'
    return 'output' if name == weights[-1] else 'input' if name == weights[0] else 'hidden'

  def leaf(entries, x):
    name = trees.path(entries)
    fan_out = x.shape[-1] if x.shape else 1
    embedding = name.endswith('embedding')
    fan_in = 1 if embedding or len(x.shape) < 2 else math.prod(x.shape[:-1])
    return Leaf(name, tuple(x.shape), x.dtype, fan_in, fan_out, role(name))

  return jax.tree_util.tree_map_with_path(leaf, params)


def map_leaves(fn, leaves: Tree, *rest: Tree) -> Tree:
  """`fn(leaf, ...)` at every leaf; a `Leaf` counts as one."""
  return jax.tree.map(fn, leaves, *rest, is_leaf=lambda x: isinstance(x, Leaf))


def weights(leaves: Tree) -> list[Leaf]:
  """The leaves that are neither biases nor scales, from the input layer to the output layer."""
  found = jax.tree.leaves(leaves, is_leaf=lambda x: isinstance(x, Leaf))
  return sorted((leaf for leaf in found if leaf.role not in ('bias', 'scale')), key=lambda leaf: _natural(leaf.name))


def _natural(name: str):
  """'input' first and 'readout' last, numbers by value: Dense_2 before Dense_10."""
  words = [(0, int(w), '') if w.isdigit() else (1, 0, w) for w in re.split(r'(\d+)', name)]
  place = 0 if re.search(r'input|embed', name) else 2 if re.search(r'readout|output|head', name) else 1
  return place, words
