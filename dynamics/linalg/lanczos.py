"""The Lanczos recurrence with full reorthogonalisation and a test for breakdown.

A symmetric operator is a function `matvec` from a tree to a tree of the same structure. Trees are flattened to one vector
inside. Each step takes one product. Everything runs under `jit` and, for members, under `vmap`. Call it under `jit`: outside
of it, jax compiles the loop again for every new closure.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from dynamics.types import Array, Key, Tree

Matvec = Callable[[Tree], Tree]
BREAKDOWN = 30.0  # a beta up to BREAKDOWN * eps * (largest row sum of |T|) counts as 0; products are off by 1 to 10 eps
BLOCK_BYTES = 2**20  # bytes of basis rows per block: each is used twice in a row, the second time from the cache


class Lanczos(NamedTuple):
  """Q A Q^T = T for the first `rank` rows of Q, where T is symmetric tridiagonal; later rows are zero."""

  alphas: Array  # (s,) the diagonal of T
  betas: Array  # (s,) betas[i] couples rows i and i + 1; the last one is the norm of the residual
  basis: Array  # (s, p) orthonormal rows Q, entries in the order of `flat`
  rank: Array  # () int32: valid steps, fewer than s if the Krylov space is exhausted
  orthogonality: Array  # () the largest entry of |Q Q^T - 1| over valid rows


class Flat(NamedTuple):
  """The map between trees of floats and vectors of `size` entries of `dtype`."""

  size: int
  dtype: jnp.dtype
  ravel: Callable[[Tree], Array]
  unravel: Callable[[Array], Tree]


def flat(like: Tree) -> Flat:
  """How trees with the shapes of `like` become vectors: leaf after leaf, as float32, or float64 if any leaf is float64.

  Raises:
    ValueError: a tree without entries; leaves that are Python numbers, or not floating.
  """
  leaves, structure = jax.tree.flatten(like)
  numbers = [type(leaf).__name__ for leaf in leaves if not hasattr(leaf, 'dtype')]
  if numbers:
    raise ValueError(f'vectors are of arrays, but a leaf is a Python {numbers[0]}: give jnp.asarray(..., jnp.float32)')
  dtypes = [str(leaf.dtype) for leaf in leaves if not jnp.issubdtype(leaf.dtype, jnp.floating)]
  if dtypes:
    raise ValueError(f'vectors are of floats, but a leaf is {dtypes[0]}')
  sizes, dtype = [leaf.size for leaf in leaves], jnp.float32
  if not sum(sizes):
    raise ValueError('a vector needs entries, but the tree has none')
  if any(leaf.dtype == jnp.float64 for leaf in leaves):
    dtype = jnp.float64
  ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]

  def ravel(tree):
    return jnp.concatenate([leaf.reshape(-1).astype(dtype) for leaf in jax.tree.leaves(tree)])

  def unravel(v):
    arrays = (v[end - leaf.size : end].reshape(leaf.shape).astype(leaf.dtype) for end, leaf in zip(ends, leaves, strict=True))
    return jax.tree.unflatten(structure, arrays)

  return Flat(sum(sizes), jnp.dtype(dtype), ravel, unravel)


def lanczos(matvec: Matvec, v: Tree, steps: int) -> Lanczos:
  """`steps` (s) Lanczos steps from v, with full reorthogonalisation.

  If the Krylov space of v is exhausted after r < s steps (beta is of rounding size), `rank` is r and all later entries are
  zero. Rounding errors amplified by small betas can survive as an extra basis vector. It is orthogonal to the others and
  almost decoupled, so its quadrature weight is negligible. A zero v has rank 0. A matvec that returns NaN leaves NaN in
  `alphas`. In float32 an operator with norm below 1e-18 counts as zero, because squares underflow.

  Raises:
    ValueError: steps below 1 or above the dimension; leaves that are not floating.
  """
  shape = flat(v)
  check_steps(steps, shape.size)
  with jax.default_matmul_precision('float32'):
    product = lambda q: shape.ravel(matvec(shape.unravel(q)))
    alphas, betas, basis, rank = tridiagonal(product, shape.ravel(v), steps)
    return Lanczos(alphas, betas, basis[:steps], rank, orthogonality(basis[:steps], rank))


def asymmetry(matvec: Matvec, like: Tree, key: Key) -> Array:
  """A test of symmetry: |<u, A v> - <v, A u>| / sqrt(|u| |A v| |v| |A u|) for random normal vectors u and v; a scalar.

  It is of the size of eps of the dtype for a symmetric A, 0 for A = 0, and about 1/sqrt(p) for an A without any symmetry,
  because u and A v are then nearly orthogonal.
  """
  shape = flat(like)
  with jax.default_matmul_precision('float32'):
    u, v = jax.random.normal(key, (2, shape.size), shape.dtype)
    au, av = (shape.ravel(matvec(shape.unravel(x))) for x in (u, v))
    norm = jnp.linalg.norm
    scale = jnp.sqrt(norm(u) * norm(av) * norm(v) * norm(au))
    return jnp.where(scale == 0, 0, jnp.abs(u @ av - v @ au) / jnp.where(scale == 0, 1, scale))


# ---- on flat vectors --------------------------------------------------------------------------------------------


def tridiagonal(product: Callable[[Array], Array], v: Array, steps: int) -> tuple[Array, Array, Array, Array]:
  """`lanczos` on flat vectors: (alphas, betas, basis, rank). The basis is padded with zero rows beyond `steps`."""
  p, dtype = v.shape[0], v.dtype
  block = block_rows(steps, p, dtype.itemsize)
  small = BREAKDOWN * jnp.finfo(dtype).eps

  def step(j, carry):
    basis, alphas, betas, scale, valid = carry
    q, previous_beta = basis[j], jnp.where(j > 0, betas[j - 1], 0)
    previous_q = basis[jnp.maximum(j - 1, 0)]
    w = product(q)
    alpha = q @ w
    w = w - alpha * q - previous_beta * previous_q
    w = orthogonalise(w, basis, j // block + 1, block)
    beta = jnp.linalg.norm(w)
    scale = jnp.maximum(scale, previous_beta + jnp.abs(alpha) + beta)
    next_valid = valid & (beta > small * scale)
    alphas = alphas.at[j].set(jnp.where(valid, alpha, 0))
    betas = betas.at[j].set(jnp.where(next_valid, beta, 0))
    next_q = jnp.where(next_valid, w / jnp.where(next_valid, beta, 1), 0)
    basis = jax.lax.dynamic_update_slice(basis, next_q[None], (j + 1, 0))
    return basis, alphas, betas, scale, next_valid

  # One row more than steps holds the last residual, so that an update never reads the row that it writes.
  rows = -(-(steps + 1) // block) * block
  length = jnp.linalg.norm(v)
  nonzero = length > 0
  first = jnp.where(nonzero, v / jnp.where(nonzero, length, 1), 0)
  basis = jnp.zeros((rows, p), dtype).at[0].set(first)
  zeros = jnp.zeros((steps,), dtype)
  basis, alphas, betas, _, _ = jax.lax.fori_loop(0, steps, step, (basis, zeros, zeros, jnp.zeros((), dtype), nonzero))
  # A row is valid if all betas before it are positive.
  rank = jnp.where(nonzero, 1 + jnp.sum(jnp.cumprod((betas[:-1] > 0).astype(jnp.int32))), 0).astype(jnp.int32)
  return alphas, betas, basis, rank


def orthogonalise(w: Array, basis: Array, blocks: Array | int, block: int) -> Array:
  """w (p,) minus its projection on the first `blocks` blocks, of `block` rows each, of `basis`; `blocks` may be traced.

  Rows of `basis` are orthonormal or zero. Going block by block reads each row from memory once, though it is used twice.
  While a pass more than halves |w|, another follows, up to four, because the remainder is then dominated by rounding. This
  is a loop because `cond` under `vmap` would always run both branches.
  """

  def subtract(i, w):
    rows = basis if block == basis.shape[0] else jax.lax.dynamic_slice_in_dim(basis, i * block, block)
    return w - (rows @ w) @ rows

  def inexact(carry):
    _, before, after, passes = carry
    return (after < before / 2) & (passes < 4)

  def sweep(carry):
    w, _, after, passes = carry
    w = jax.lax.fori_loop(0, blocks, subtract, w)
    return w, after, jnp.linalg.norm(w), passes + 1

  start = sweep((w, w[0], jnp.linalg.norm(w), jnp.int32(0)))
  return jax.lax.while_loop(inexact, sweep, start)[0]


def block_rows(steps: int, p: int, itemsize: int) -> int:
  """Rows per block for steps + 1 rows of p entries: as even as possible, each at most BLOCK_BYTES or 8 rows."""
  limit = max(BLOCK_BYTES // (p * itemsize), 8)
  return math.ceil((steps + 1) / math.ceil((steps + 1) / limit))


def orthogonality(basis: Array, rank: Array) -> Array:
  """The largest entry of |Q Q^T - 1| over the first `rank` rows of the basis Q."""
  valid = jnp.arange(basis.shape[0], dtype=jnp.int32) < rank
  gram = basis @ basis.T - jnp.eye(basis.shape[0], dtype=basis.dtype)
  return jnp.max(jnp.abs(jnp.where(valid[:, None] & valid[None], gram, 0)))


def check_steps(steps: int, size: int) -> None:
  if steps < 1:
    raise ValueError(f'{steps} steps were asked for; at least 1 is needed')
  if steps > size:
    raise ValueError(f'{steps} steps were asked for in {size} dimensions; there can be at most {size}')
