"""The empirical neural tangent kernel of any model, its products with vectors, and its rows split over devices.

Theta(x, x') = J(x) J(x')^T, where J = d f / d params. Source: 1806.07572 (the kernel); 2206.08720 (its cost).
"""

import difflib
import functools
import math
from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from dynamics import contracts, trees
from dynamics.linalg import layers
from dynamics.linalg.blocks import blocks, by_vectors, cost
from dynamics.linalg.blocks import diagonal as diagonal_blocks
from dynamics.linalg.sites import structure
from dynamics.types import Array, Tree, Variables

GIB = 2**30
METHODS = ('auto', 'jacobian', 'layers', 'vector')
Method = Literal['auto', 'jacobian', 'layers', 'vector']


def ntk(
  apply: Callable[..., Array],
  variables: Variables,
  x1: Tree,
  x2: Tree | None = None,
  *,
  trace: bool = True,
  method: Method = 'auto',
  chunk: int | None = None,
  diagonal: bool = False,
  leaves: bool = False,
  dtype: str | None = None,
  budget: int = GIB,
  limit: int = 8 * GIB,
) -> Array | dict[str, Array]:
  """The tangent kernel of a model in evaluation mode, with respect to variables['params'].

  Theta(x, x')_kl = sum_p df_k(x)/dp df_l(x')/dp over all parameters p. The trace is sum_k Theta_kk, without a factor 1/k.
  Several output axes, (n, l, k), count as one.

  Compiled once for each `apply` (the same function object) and each shape. It also runs inside `jit`, `grad` and, for
  members, `vmap` over `variables`; the values that tell whether `apply` mixes rows are not known there, so it is not asked.

  Args:
    apply: (variables, x) -> (n, k) or (n, ..., k) floats, where each row depends on its own example alone.
    variables: 'params', and the other collections that `apply` reads.
    x1: (n1, ...) examples: an array, or a tree of arrays such as {'image': ..., 'text': ...}.
    x2: (n2, ...) examples; None is x1 itself, at half the cost.
    trace: True for the sum over outputs, False for all pairs of outputs.
    method: 'layers' multiplies Gram matrices of the layers' inputs and cotangents, and takes per-example gradients for the
      leaves that are not part of a layer; 'jacobian' takes per-example gradients for all leaves; 'vector' multiplies the
      kernel by unit vectors, which needs the least memory. 'auto' chooses by counts of operations and bytes. All methods
      agree up to rounding.
    chunk: examples per block, in rows and in columns; None is the largest that `budget` allows.
    diagonal: compute Theta(x, x) for each x in x1 only.
    leaves: return the kernel of each parameter array under its path; these sum to the whole kernel.
    dtype: 'float64' or 'float32' to cast parameters and examples first; None keeps theirs, but in 32-bit mode jax makes
      examples of float64 float32. Sums are at least float32.
    budget: approximate bytes for temporaries.
    limit: the largest size of the result in bytes.

  Returns:
    (n1, n2) with `trace`, else (n1, n2, k, k); with `diagonal` (n1,) or (n1, k, k). With `leaves` a dict of these.

  Raises:
    ValueError: examples of different shapes or none at all; parameters and outputs that are not floating; outputs that are not
      one row per example, or that change with the other rows, as with batch norm in training mode; an unknown method or dtype;
      a result larger than `limit`. All are raised before the kernel compiles.
  """
  if diagonal and x2 is not None:
    raise ValueError('diagonal=True is of x1 with itself, but x2 was given; leave one of the two out')
  x1, x2 = _examples(x1, 'x1'), None if x2 is None else _examples(x2, 'x2')
  _check_rows(apply, variables, x1, x1 if x2 is None else x2)
  choices = dict(trace=bool(trace), method=method, chunk=chunk, diagonal=bool(diagonal), leaves=bool(leaves))
  return _ntk(apply, variables, x1, x2, **choices, dtype=dtype, budget=budget, limit=limit)


def kernel_vector(
  apply: Callable[..., Array], variables: Variables, x1: Tree, x2: Tree | None = None
) -> Callable[[Array], Array]:
  """v (n2, k) -> Theta(x1, x2) v (n1, k), as J(x1) (J(x2)^T v): the kernel is not formed.

  A product costs two forward passes and one backward pass. If outputs have more axes, v has the shape of apply(variables, x2).

  Raises:
    ValueError: examples, parameters and outputs as for `ntk`; a v whose shape is not that of the outputs of x2.
  """
  x1 = _examples(x1, 'x1')
  x2 = x1 if x2 is None else _examples(x2, 'x2')
  _check_rows(apply, variables, x1, x2)
  shape = (_count(x2), *_check(apply, variables, x1, x2))
  f = lambda x: lambda params: apply({**variables, 'params': params}, x)

  def product(v):
    v = jnp.asarray(v)
    if v.shape != shape:
      raise ValueError(f'v has shape {v.shape}, but the outputs of x2 have {shape}')
    with jax.default_matmul_precision('float32'):
      _, back = jax.vjp(f(x2), variables['params'])
      return jax.jvp(f(x1), (variables['params'],), back(v))[1]

  return product


def sharded_ntk(mesh: Mesh, axis: str, apply: Callable[..., Array], **choices) -> Callable[..., Array | dict[str, Array]]:
  """`ntk` with its rows split over an axis of a mesh: a function of (variables, x1, x2=None), to be called under `jit`.

  Each device computes its rows against all of x2. `choices` are keyword arguments of `ntk`.

  Raises:
    ValueError: a number of rows that is not divisible by the size of the axis.
  """

  def split(variables, x1, x2=None):
    if contracts.examples(x1, 'x1') % mesh.shape[axis]:
      raise ValueError(f'{_count(x1)} rows cannot be split evenly over the {mesh.shape[axis]} devices of {axis!r}')
    shard = lambda variables, x1, x2: ntk(apply, variables, x1, None if choices.get('diagonal') else x2, **choices)
    kernel = jax.shard_map(shard, mesh=mesh, in_specs=(P(), P(axis), P()), out_specs=P(axis), check_vma=False)
    return kernel(variables, x1, x1 if x2 is None else x2)

  return split


# ---- checks -----------------------------------------------------------------------------------------------------


def _examples(x: Tree, name: str) -> Tree:
  """Examples as arrays of jax."""
  if not contracts.examples(x, name):
    raise ValueError(f'{name} holds no examples; it is {contracts.described(x)}')
  return jax.tree.map(jnp.asarray, x)


def _count(x: Tree) -> int:
  return jax.tree.leaves(x)[0].shape[0]


def _check_variables(variables) -> None:
  if 'params' not in variables or not jax.tree.leaves(variables['params']):
    raise ValueError(f"variables hold {', '.join(variables) or 'nothing'}; parameters are expected under 'params'")
  contracts.parameters(variables['params'])


def _check(apply, variables, x1, x2) -> tuple[int, ...]:
  """The shape of the outputs of one example, after checking variables, examples and outputs."""
  _check_variables(variables)
  shapes = lambda x: jax.tree.map(lambda leaf: leaf.shape[1:], x)
  if shapes(x1) != shapes(x2):
    raise ValueError(f'examples of x1 have shape {shapes(x1)} and those of x2 {shapes(x2)}; they must be the same')
  n = _count(x1)
  out = contracts.outputs(jax.eval_shape(apply, variables, x1), 'apply')
  if not jnp.issubdtype(out.dtype, jnp.floating):
    raise ValueError(f'apply returns {out.dtype}; a tangent kernel is of floating outputs')
  first = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((1, *leaf.shape[1:]), leaf.dtype), x1)
  single = jax.eval_shape(apply, variables, first)
  if out.ndim < 2 or out.shape[0] != n or single.shape != (1, *out.shape[1:]):
    raise ValueError(
      f'apply returns {out.shape} for {n} examples and {single.shape} for one; it must return (n, k), one row an example'
    )
  return out.shape[1:]


def _check_rows(apply, variables, x1, x2) -> None:
  """Refuses a model in which other rows change the output of an example, where values are known.

  The last example alone is compared with itself among others. Where they differ by more than rounding usually does, zeros take
  the place of the others: program and rounding stay the same, so that only a model that mixes rows gives another output.
  """
  _check_variables(variables)
  if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves((variables, x1, x2))):
    return
  row = lambda company: _row(apply, variables, x1, x2, company=company)
  among = row('others')
  if isinstance(among, jax.core.Tracer):  # of values that `apply` holds
    return
  tolerance = jnp.finfo(among.dtype).eps ** 0.5 * _largest(among)
  change = _largest(row('none') - among)
  if change > tolerance and _largest(row('zeros') - among) > tolerance:
    raise ValueError(
      f'apply mixes rows: among others the output of an example of x1 differs by {change:.2g} from that of the example alone, '
      f'where outputs are up to {_largest(among):.2g}. A tangent kernel is of single examples: call the model in evaluation '
      f'mode, in which batch norm reads its running averages'
    )


def _largest(x: Array) -> float:
  return float(np.max(np.abs(np.asarray(x, np.float64))))


@functools.partial(jax.jit, static_argnums=0, static_argnames='company')
def _row(apply, variables, x1, x2, *, company):
  """The output of the last example of x1: alone, behind other rows, or behind as many zeros."""
  with jax.default_matmul_precision('float32'):
    _check(apply, variables, x1, x2)

    def batch(x):
      last = x[-1:]
      others = jnp.concatenate([jnp.zeros_like(last), jnp.ones_like(last), x[: min(2, x.shape[0] - 1)]])
      before = {'none': [], 'others': [others], 'zeros': [jnp.zeros_like(others)]}[company]
      return jnp.concatenate([*before, last])

    return apply(variables, jax.tree.map(batch, x1))[-1]


def _check_size(n1, n2, k, itemsize, trace, diagonal, limit):
  """Raises for a result larger than `limit`, and names the choices that would fit."""
  size = lambda trace, diagonal: itemsize * n1 * (1 if diagonal else n2) * (1 if trace else k * k)
  if size(trace, diagonal) <= limit:
    return
  smaller = {'trace=True': (True, diagonal), 'diagonal=True': (trace, True), 'trace=True and diagonal=True': (True, True)}
  fitting = [f'{name} ({size(*choice) / GIB:.3g} GiB)' for name, choice in smaller.items() if size(*choice) <= limit]
  rows = max(limit // (size(trace, diagonal) // n1), 1)
  raise ValueError(
    f'the kernel of {n1} x {n2} examples would take {size(trace, diagonal) / GIB:.3g} GiB, and limit is {limit / GIB:.3g}; '
    f'what fits: {", ".join([*fitting, f"{rows} rows of x1 at a time", "kernel_vector"])}. A smaller chunk does not change it'
  )


def _cast(tree, dtype):
  if dtype is None:
    return tree
  if dtype not in ('float32', 'float64'):
    raise ValueError(f"dtype is {dtype!r}; it must be 'float32', 'float64' or None")
  if dtype == 'float64' and not jax.config.jax_enable_x64:
    raise ValueError("dtype is 'float64', but jax is in 32-bit mode; call jax.config.update('jax_enable_x64', True) first")
  return jax.tree.map(lambda x: x.astype(dtype) if jnp.issubdtype(x.dtype, jnp.floating) else x, tree)


# ---- the kernel -------------------------------------------------------------------------------------------------

STATIC = ('trace', 'method', 'chunk', 'diagonal', 'leaves', 'dtype', 'budget', 'limit')


@functools.partial(jax.jit, static_argnums=0, static_argnames=STATIC)
def _ntk(apply, variables, x1, x2, *, trace, method, chunk, diagonal, leaves, dtype, budget, limit):
  if method not in METHODS:
    closest = difflib.get_close_matches(str(method), METHODS, 1, 0)[0]
    raise ValueError(f'method is {method!r}; did you mean {closest!r}? There are {", ".join(METHODS)}')
  if chunk is not None and (not isinstance(chunk, int) or chunk < 1):
    raise ValueError(f'chunk is {chunk!r}; it must be a number of examples, 1 or more, or None')
  variables, x1, x2 = _cast((variables, x1, x2), dtype)
  with jax.default_matmul_precision('float32'):
    outputs = _check(apply, variables, x1, x1 if x2 is None else x2)
    (n1, n2), k = (_count(x1), _count(x1 if x2 is None else x2)), math.prod(outputs)
    itemsize = trees.at_least_float32(jax.tree.leaves(variables['params'])[0]).dtype.itemsize
    _check_size(n1, n2, k, itemsize * (len(jax.tree.leaves(variables['params'])) if leaves else 1), trace, diagonal, limit)
    n2 = 1 if diagonal else n2
    plan = layers.plan(structure(apply, variables, x1), n1, n2, trace=trace, dense=method == 'jacobian', leaves=leaves)
    scalars = budget // itemsize
    if method == 'auto':
      by_layers, by_vector = cost(plan, n1, n2, leaves)
      least = 2 * plan.feature_size + plan.feature_temporaries + plan.pair_temporaries
      method = 'vector' if by_vector < by_layers or least > scalars else 'layers'
    if method == 'vector':
      columns = None if diagonal else x1 if x2 is None else x2
      return by_vectors(apply, variables, plan, x1, columns, chunk, leaves, scalars)
    if diagonal:
      return diagonal_blocks(plan, variables, x1, chunk, leaves, scalars)
    return blocks(plan, variables, x1, x2, chunk, leaves, scalars)
