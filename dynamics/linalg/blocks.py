"""Kernels block by block: what is kept, what is made again, and in which order, so that temporaries stay within bytes."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from dynamics import trees
from dynamics.linalg.layers import Plan, contract, features
from dynamics.types import Array, Variables

Kernel = Array | dict[str, Array]
WORTH = 64  # rows from which a matrix product runs at full speed
BATCH = 2**20  # scalars that examples may take together while their features are made: with more, caches are missed
READS = 64  # but as many as 64 times the weights, which are read once for all of them
PARTS = (7, 5, 3)  # blocks of a side where one half is formed: 28 of 49, 15 of 25. An odd number meets no pair twice
DEAR = 2**10  # operations of an entry from which half of the entries are worth being copied into their places


def parts(some: Plan, n: int) -> int:
  """Into how many blocks a side is cut when a kernel with itself would fit as one; 1 where that costs more than it saves."""
  k = some.structure.outputs
  if some.trace or some.pair < DEAR * k * k:
    return 1
  return next((b for b in PARTS if n * k >= b * b * WORTH // 2), 1)  # the more blocks, the longer their sides must be


def fits(some: Plan, n1: int, n2: int, c: int, scalars: int) -> tuple[bool, bool]:
  """Whether blocks of c examples fit, and whether the features of all x2 may then be kept beside them."""
  rows, columns = min(c, n1), min(c, n2)
  block = max(rows, columns) * some.working + rows * columns * some.meeting + rows * some.held
  return block + columns * some.held <= scalars, block + n2 * some.held <= scalars


def largest(some: Plan, n1: int, n2: int, scalars: int) -> int:
  """The largest block for which temporaries fit, beside kept features where that leaves a block worth having; 1 if none."""
  for kept in (True, False):
    c = max(n1, n2)
    while c > 1 and not fits(some, n1, n2, c, scalars)[1 if kept else 0]:
      c = -(-c // 2)
    if c >= min(WORTH, max(n1, n2)):
      break
  return c


def blocks(
  some: Plan, variables: Variables, x1: Array, x2: Array | None, chunk: int | None, leaves: bool, scalars: int
) -> Kernel:
  """The kernel of x1 and x2, from features that are made once where they fit.

  With x2=None blocks (i, i + t mod b) for t up to b/2 meet each unordered pair; the last block of a side overlaps the one
  before it, so that all have one shape.
  """
  symmetric, x2 = x2 is None, x1 if x2 is None else x2
  n1, n2, one = x1.shape[0], x2.shape[0], features(some, variables)
  c = largest(some, n1, n2, scalars) if chunk is None else chunk
  meet = lambda a, b: _named(some, contract(some, a, b), leaves)
  make = lambda x: _made(some, one, x)
  if symmetric and chunk is None and c >= n1:
    c = -(-n1 // parts(some, n1))
  if c >= max(n1, n2):
    a = make(x1)
    return meet(a, a if symmetric else make(x2))

  (c1, c2), (b1, b2) = (min(c, n1), min(c, n2)), (-(-n1 // c), -(-n2 // c))
  kept = make(x2) if fits(some, n1, n2, c, scalars)[1] else None
  columns = lambda j: make(_cut(x2, j, c2)) if kept is None else jax.tree.map(lambda f: _cut(f, j, c2), kept)
  rows = columns if symmetric and kept is not None else lambda i: make(_cut(x1, i, c1))

  def put(out, block, i, j):
    return jax.tree.map(lambda o, b: jax.lax.dynamic_update_slice(o, b, (i, j, *(0,) * (b.ndim - 2))), out, block)

  def row(i, out):
    a = rows(i)

    def column(t, out):
      j = (i + t) % b2 if symmetric else t
      block = meet(a, columns(j))
      out = put(out, block, i * c1, j * c2)
      return put(out, jax.tree.map(_mirrored, block), j * c2, i * c1) if symmetric else out

    return jax.lax.fori_loop(0, b2 // 2 + 1 if symmetric else b2, column, out)

  shape = jax.eval_shape(lambda: meet(rows(jnp.int32(0)), columns(jnp.int32(0))))
  return jax.lax.fori_loop(0, b1, row, jax.tree.map(lambda b: jnp.zeros((n1, n2, *b.shape[2:]), b.dtype), shape))


def diagonal(some: Plan, variables: Variables, x: Array, chunk: int | None, leaves: bool, scalars: int) -> Kernel:
  """The kernel of each example with itself."""
  one = features(some, variables)

  def own(x):
    held = jax.tree.map(lambda f: f[None], one(x))
    return jax.tree.map(lambda b: b[0, 0], _named(some, contract(some, held, held), leaves))

  c = scalars // (some.working + some.meeting + some.held) if chunk is None else chunk
  return _joined(_each(lambda x: jax.vmap(own)(x), x, c), x.shape[0])


def by_vectors(
  apply: Callable[..., Array],
  variables: Variables,
  some: Plan,
  x1: Array,
  x2: Array | None,
  chunk: int | None,
  leaves: bool,
  scalars: int,
) -> Kernel:
  """The kernel by its products with unit vectors; x2=None is the diagonal alone."""
  params, k, size = variables['params'], some.structure.outputs, sum(some.structure.sizes)
  outputs = lambda x: lambda params: apply({**variables, 'params': params}, x[None]).reshape(-1)
  basis = min(k, max(1, scalars // (4 * size)))  # gradients held at a time
  c = max(1, scalars // (4 * basis * some.structure.residuals)) if chunk is None else chunk

  def row(x):
    push = jax.linearize(outputs(x), params)[1]

    def column(other):
      back = jax.vjp(outputs(other), params)[1]

      def product(e):
        (grads,) = back(e)
        if not leaves:
          return push(grads)
        flat, treedef = jax.tree.flatten(grads)
        alone = lambda i: jax.tree.unflatten(treedef, [g if i == j else jnp.zeros_like(g) for j, g in enumerate(flat)])
        return {name: push(alone(i)) for i, name in enumerate(some.structure.names)}

      columns = jax.lax.map(product, jnp.eye(k, dtype=dtype), batch_size=basis)  # (l, k)
      return jax.tree.map(lambda b: jnp.trace(trees.at_least_float32(b)) if some.trace else trees.at_least_float32(b).T, columns)

    return column(x) if x2 is None else jax.lax.map(column, x2)

  dtype = jax.eval_shape(outputs(x1[0]), params).dtype
  return _joined(_each(lambda x: jax.vmap(row)(x), x1, c), x1.shape[0])


def _made(some: Plan, one, x):
  """The features of examples (n, ...), few at a time."""
  n, scalars = x.shape[0], max(BATCH, READS * sum(some.structure.sizes))
  if n * some.working <= scalars:
    return jax.vmap(one)(x)
  return _joined(_each(jax.vmap(one), x, scalars // some.working), n)


def _cut(x, i, c):
  """Block i of c examples; the last is moved back to lie within x."""
  return jax.lax.dynamic_slice_in_dim(x, i * c, c)


def _each(f, x, c):
  """f of every block of at most c examples, one after the other: (b, c, ...)."""
  n = jax.tree.leaves(x)[0].shape[0]
  b = -(-n // min(max(c, 1), n))
  b = next((d for d in range(b, min(2 * b, n) + 1) if n % d == 0), b)  # then no block overlaps another, and none is copied
  c = -(-n // b)
  return jax.lax.map(lambda i: f(jax.tree.map(lambda a: _cut(a, i, c), x)), jnp.arange(b))


def _joined(blocks, n):
  """(b, c, ...) -> (n, ...), where the last block overlaps the one before it."""

  def join(x):
    b, c = x.shape[:2]
    if b * c == n:
      return x.reshape(n, *x.shape[2:])
    return jnp.concatenate([x[:-1].reshape((b - 1) * c, *x.shape[2:]), x[-1, b * c - n :]])

  return jax.tree.map(join, blocks)


def _mirrored(block):
  return block.T if block.ndim == 2 else jnp.transpose(block, (1, 0, 3, 2))


def _named(some: Plan, kernels: list[Array | None], leaves: bool) -> Kernel:
  """(n, m) or (n, m, k, k): the sum over leaves, or each under its name; unused leaves are zero."""
  last = lambda b: b if b.ndim == 2 else jnp.transpose(b, (0, 2, 1, 3))
  found = [b for b in kernels if b is not None]
  if not leaves:
    return last(sum(found[1:], start=found[0]))
  zero = jnp.zeros_like(found[0])
  return {name: last(zero if b is None else b) for name, b in zip(some.structure.names, kernels, strict=False)}


def cost(some: Plan, n1: int, n2: int, leaves: bool) -> tuple[int, int]:
  """Operations of `blocks` and of `by_vectors`."""
  vectors = n1 * n2 * some.structure.outputs * 2 * some.structure.operations * (len(some.structure.names) if leaves else 1)
  return (n1 + n2) * some.features + n1 * n2 * some.pair, vectors
