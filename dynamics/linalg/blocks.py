"""Kernels computed block by block, so that temporaries fit a given number of scalars.

A *feature* is the form in which `layers` holds the gradients of one example. The features of rows are computed once. Those of
columns are stored if they fit beside a block, and otherwise recomputed for each block.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from dynamics import trees
from dynamics.linalg.layers import Plan, contract, features
from dynamics.types import Array, Tree, Variables

Kernel = Array | dict[str, Array]
FULL_SPEED_ROWS = 64  # rows from which a matrix product runs at full speed
CACHE_SCALARS = 2**20  # scalars of temporaries while features are computed together: with more, caches are missed
SCALARS_PER_WEIGHT = 64  # but at least this many times the number of weights, which are then read once for many examples
SYMMETRIC_BLOCKS = (7, 5, 3)  # blocks per side for symmetric kernels: odd, so that the cyclic schedule visits each pair once
COPY_OPERATIONS = 2**10  # operations per entry above which a copy of the mirrored entry is cheaper than computing it


def blocks_per_side(plan: Plan, n: int) -> int:
  """Blocks per side for a symmetric kernel that would fit as a whole; 1 if computing half of the blocks saves no time."""
  k = plan.structure.outputs
  if plan.trace or plan.pair_operations < COPY_OPERATIONS * k * k:
    return 1
  return next((b for b in SYMMETRIC_BLOCKS if n * k >= b * b * FULL_SPEED_ROWS // 2), 1)  # more blocks need longer sides


def fits(plan: Plan, n1: int, n2: int, c: int, scalars: int) -> tuple[bool, bool]:
  """Whether blocks of c examples fit into `scalars`, and whether they do so beside the features of all of x2."""
  rows, columns = min(c, n1), min(c, n2)
  block = max(rows, columns) * plan.feature_temporaries + rows * columns * plan.pair_temporaries + rows * plan.feature_size
  return block + columns * plan.feature_size <= scalars, block + n2 * plan.feature_size <= scalars


def largest(plan: Plan, n1: int, n2: int, scalars: int) -> int:
  """The largest c for which blocks fit, beside the stored features of x2 if products then run at full speed; at least 1."""
  for stored in (True, False):
    c = max(n1, n2)
    while c > 1 and not fits(plan, n1, n2, c, scalars)[1 if stored else 0]:
      c = -(-c // 2)
    if c >= min(FULL_SPEED_ROWS, max(n1, n2)):
      break
  return c


def blocks(plan: Plan, variables: Variables, x1: Tree, x2: Tree | None, chunk: int | None, leaves: bool, scalars: int) -> Kernel:
  """The kernel of x1 and x2, or of x1 with itself for x2=None; shapes as in `ntk`.

  For x2=None, blocks (i, i + t mod b) with t up to b/2 visit each unordered pair. The last block of a side overlaps the one
  before it, so that all have the same shape.
  """
  symmetric, x2 = x2 is None, x1 if x2 is None else x2
  n1, n2, feature = _count(x1), _count(x2), features(plan, variables)
  c = largest(plan, n1, n2, scalars) if chunk is None else chunk
  kernel = lambda a, b: _named(plan, contract(plan, a, b), leaves)
  batch_features = lambda x: _in_batches(plan, feature, x)
  if symmetric and chunk is None and c >= n1:
    c = -(-n1 // blocks_per_side(plan, n1))
  if c >= max(n1, n2):
    a = batch_features(x1)
    return kernel(a, a if symmetric else batch_features(x2))

  (c1, c2), (b1, b2) = (min(c, n1), min(c, n2)), (-(-n1 // c), -(-n2 // c))
  stored = batch_features(x2) if fits(plan, n1, n2, c, scalars)[1] else None
  columns = lambda j: batch_features(_slice(x2, j, c2)) if stored is None else _slice(stored, j, c2)
  rows = columns if symmetric and stored is not None else lambda i: batch_features(_slice(x1, i, c1))

  def write(out, block, i, j):
    return jax.tree.map(lambda o, b: jax.lax.dynamic_update_slice(o, b, (i, j, *(0,) * (b.ndim - 2))), out, block)

  def row(i, out):
    a = rows(i)

    def column(t, out):
      j = (i + t) % b2 if symmetric else t
      block = kernel(a, columns(j))
      out = write(out, block, i * c1, j * c2)
      return write(out, jax.tree.map(_transposed, block), j * c2, i * c1) if symmetric else out

    return jax.lax.fori_loop(0, b2 // 2 + 1 if symmetric else b2, column, out)

  shape = jax.eval_shape(lambda: kernel(rows(jnp.int32(0)), columns(jnp.int32(0))))
  return jax.lax.fori_loop(0, b1, row, jax.tree.map(lambda b: jnp.zeros((n1, n2, *b.shape[2:]), b.dtype), shape))


def diagonal(plan: Plan, variables: Variables, x: Tree, chunk: int | None, leaves: bool, scalars: int) -> Kernel:
  """The kernel of each example with itself: (n,) or (n, k, k)."""
  feature = features(plan, variables)

  def entry(x):
    f = jax.tree.map(lambda f: f[None], feature(x))
    return jax.tree.map(lambda b: b[0, 0], _named(plan, contract(plan, f, f), leaves))

  c = scalars // (plan.feature_temporaries + plan.pair_temporaries + plan.feature_size) if chunk is None else chunk
  return _joined(_map_blocks(lambda x: jax.vmap(entry)(x), x, c), _count(x))


def by_vectors(
  apply: Callable[..., Array],
  variables: Variables,
  plan: Plan,
  x1: Tree,
  x2: Tree | None,
  chunk: int | None,
  leaves: bool,
  scalars: int,
) -> Kernel:
  """The kernel from its products with unit vectors; x2=None gives the diagonal alone."""
  params, k, size = variables['params'], plan.structure.outputs, sum(plan.structure.sizes)
  outputs = lambda x: lambda params: apply({**variables, 'params': params}, jax.tree.map(lambda a: a[None], x)).reshape(-1)
  gradients = min(k, max(1, scalars // (4 * size)))  # gradients in memory at a time
  c = max(1, scalars // (4 * gradients * plan.structure.residuals)) if chunk is None else chunk

  def row(x):
    push = jax.linearize(outputs(x), params)[1]

    def column(other):
      back = jax.vjp(outputs(other), params)[1]

      def product(e):
        (grads,) = back(e)
        if not leaves:
          return push(grads)
        flat, treedef = jax.tree.flatten(grads)
        only = lambda i: jax.tree.unflatten(treedef, [g if i == j else jnp.zeros_like(g) for j, g in enumerate(flat)])
        return {name: push(only(i)) for i, name in enumerate(plan.structure.names)}

      columns = jax.lax.map(product, jnp.eye(k, dtype=dtype), batch_size=gradients)  # (l, k)
      return jax.tree.map(lambda b: jnp.trace(trees.at_least_float32(b)) if plan.trace else trees.at_least_float32(b).T, columns)

    return column(x) if x2 is None else jax.lax.map(column, x2)

  dtype = jax.eval_shape(outputs(jax.tree.map(lambda a: a[0], x1)), params).dtype
  return _joined(_map_blocks(lambda x: jax.vmap(row)(x), x1, c), _count(x1))


def _in_batches(plan: Plan, feature, x):
  """The features of examples x (n, ...), in batches whose temporaries fit the cache."""
  n, scalars = _count(x), max(CACHE_SCALARS, SCALARS_PER_WEIGHT * sum(plan.structure.sizes))
  if n * plan.feature_temporaries <= scalars:
    return jax.vmap(feature)(x)
  return _joined(_map_blocks(jax.vmap(feature), x, scalars // plan.feature_temporaries), n)


def _slice(x, i, c):
  """Block i of c examples. The last block starts earlier if x would end within it."""
  return jax.tree.map(lambda a: jax.lax.dynamic_slice_in_dim(a, i * c, c), x)


def _count(x):
  return jax.tree.leaves(x)[0].shape[0]


def _map_blocks(f, x, c):
  """f of each block of at most c examples, one after the other: (b, c, ...)."""
  n = _count(x)
  b = -(-n // min(max(c, 1), n))
  b = next((d for d in range(b, min(2 * b, n) + 1) if n % d == 0), b)  # blocks that do not overlap are joined without a copy
  c = -(-n // b)
  return jax.lax.map(lambda i: f(_slice(x, i, c)), jnp.arange(b))


def _joined(blocks, n):
  """(b, c, ...) -> (n, ...), where the last block may overlap the one before it."""

  def join(x):
    b, c = x.shape[:2]
    if b * c == n:
      return x.reshape(n, *x.shape[2:])
    return jnp.concatenate([x[:-1].reshape((b - 1) * c, *x.shape[2:]), x[-1, b * c - n :]])

  return jax.tree.map(join, blocks)


def _transposed(block):
  """The kernel of (x2, x1) from that of (x1, x2)."""
  return block.T if block.ndim == 2 else jnp.transpose(block, (1, 0, 3, 2))


def _named(plan: Plan, kernels: list[Array | None], leaves: bool) -> Kernel:
  """(n, m) or (n, m, k, k): the sum over leaves, or {name: kernel} with zeros for unused leaves."""
  outputs_last = lambda b: b if b.ndim == 2 else jnp.transpose(b, (0, 2, 1, 3))
  nonzero = [b for b in kernels if b is not None]
  if not leaves:
    return outputs_last(sum(nonzero[1:], start=nonzero[0]))
  zero = jnp.zeros_like(nonzero[0])
  return {name: outputs_last(zero if b is None else b) for name, b in zip(plan.structure.names, kernels, strict=False)}


def cost(plan: Plan, n1: int, n2: int, leaves: bool) -> tuple[int, int]:
  """The operations of `blocks` and of `by_vectors` for n1 x n2 examples."""
  products = n1 * n2 * plan.structure.outputs * 2 * plan.structure.operations * (len(plan.structure.names) if leaves else 1)
  return (n1 + n2) * plan.feature_operations + n1 * n2 * plan.pair_operations, products
