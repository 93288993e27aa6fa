"""Symmetric operators as products with vectors, and their tridiagonal form by a guarded Lanczos recurrence.

An operator is a function `matvec` from a tree to a tree of the same structure. Everything here works on one flat vector
inside, runs under `jit` and, for members, under `vmap`, and asks for one product a step. Call it under `jit`: a loop around
a fresh closure is compiled at every call.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from dynamics.types import Array, Key, Tree

Matvec = Callable[[Tree], Tree]
BREAKDOWN = 30.0  # a beta below this many roundings of the largest row of T is no direction: products are 1 to 10 off
BLOCK_BYTES = 2**20  # of basis vectors that are read at a time: they meet the vector twice, the second time from the cache


class Lanczos(NamedTuple):
  """Q A Q^T = T on the first `rank` rows of Q, T tridiagonal with `alphas` beside `betas`; all further rows are zero."""

  alphas: Array  # (s,) the diagonal of T
  betas: Array  # (s,) betas[i] joins rows i and i + 1; the last one is the norm of what is left over
  basis: Array  # (s, p) orthonormal rows, entries in the order of the tree's leaves; see `flat`
  rank: Array  # () int32: valid steps; fewer than s where the Krylov space is exhausted
  orthogonality: Array  # () the largest entry of |Q Q^T - 1| over valid rows


class Flat(NamedTuple):
  """A tree of floats as one vector and back: `size` entries of `dtype`."""

  size: int
  dtype: jnp.dtype
  ravel: Callable[[Tree], Array]
  unravel: Callable[[Array], Tree]


def flat(like: Tree) -> Flat:
  """How trees of these shapes become vectors: leaf after leaf, float32, or float64 where any leaf is.

  Raises:
    ValueError: no entries, or leaves that are not floating.
  """
  leaves, structure = jax.tree.flatten(like)
  wrong = [str(leaf.dtype) for leaf in leaves if not jnp.issubdtype(leaf.dtype, jnp.floating)]
  if wrong:
    raise ValueError(f'vectors are of floats, but a leaf is {wrong[0]}')
  sizes, dtype = [leaf.size for leaf in leaves], jnp.float32
  if not sum(sizes):
    raise ValueError('a vector needs entries, but the tree has none')
  if any(leaf.dtype == jnp.float64 for leaf in leaves):
    dtype = jnp.float64
  ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]

  def ravel(tree):
    return jnp.concatenate([leaf.reshape(-1).astype(dtype) for leaf in jax.tree.leaves(tree)])

  def unravel(v):
    pieces = (v[end - leaf.size : end].reshape(leaf.shape).astype(leaf.dtype) for end, leaf in zip(ends, leaves, strict=True))
    return jax.tree.unflatten(structure, pieces)

  return Flat(sum(sizes), jnp.dtype(dtype), ravel, unravel)


def lanczos(matvec: Matvec, v: Tree, steps: int) -> Lanczos:
  """`steps` (s) steps from v, with full reorthogonalisation.

  Where the Krylov space of v is exhausted after r < s steps (a beta of rounding size), the recurrence freezes: `rank` is
  r and what follows is zero. Rounding that small betas before have amplified may still go on as a direction; it is orthogonal
  to the others and all but unconnected, so it weighs nothing. A zero v has rank 0. A matvec that returns NaN leaves NaN in
  `alphas`. In float32 an operator of a norm below 1e-18 reads as zero, because squares underflow.

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
  """|<u, A v> - <v, A u>| / sqrt(|u| |A v| |v| |A u|) for normal u and v: rounding for a symmetric A, and 0 for A = 0.

  For an A without any symmetry it is about 1/sqrt(p), as u and A v are then all but orthogonal: compare it with the
  rounding of the dtype.
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
  """(alphas, betas, basis, rank) of `lanczos`, on flat vectors; the basis may have zero rows beyond `steps`."""
  p, dtype = v.shape[0], v.dtype
  block = block_rows(steps, p, dtype.itemsize)
  small = BREAKDOWN * jnp.finfo(dtype).eps

  def step(j, carry):
    basis, alphas, betas, scale, alive = carry
    q, beta_before = basis[j], jnp.where(j > 0, betas[j - 1], 0)
    before = basis[jnp.maximum(j - 1, 0)]
    w = product(q)
    alpha = q @ w
    w = w - alpha * q - beta_before * before
    # One pass over the vectors that exist; a second one only where the first took most of w away.
    w = orthogonalise(w, basis, j // block + 1, block)
    beta = jnp.linalg.norm(w)
    scale = jnp.maximum(scale, beta_before + jnp.abs(alpha) + beta)
    goes_on = alive & (beta > small * scale)
    alphas = alphas.at[j].set(jnp.where(alive, alpha, 0))
    betas = betas.at[j].set(jnp.where(goes_on, beta, 0))
    following = jnp.where(goes_on, w / jnp.where(goes_on, beta, 1), 0)
    basis = jax.lax.dynamic_update_slice(basis, following[None], (j + 1, 0))
    return basis, alphas, betas, scale, goes_on

  # One row more than steps, so that the last remainder has a place and the update never reads what it writes.
  rows = -(-(steps + 1) // block) * block
  length = jnp.linalg.norm(v)
  alive = length > 0
  first = jnp.where(alive, v / jnp.where(alive, length, 1), 0)
  basis = jnp.zeros((rows, p), dtype).at[0].set(first)
  none = jnp.zeros((steps,), dtype)
  basis, alphas, betas, _, _ = jax.lax.fori_loop(0, steps, step, (basis, none, none, jnp.zeros((), dtype), alive))
  # A row is valid where every beta before it was.
  rank = jnp.where(alive, 1 + jnp.sum(jnp.cumprod((betas[:-1] > 0).astype(jnp.int32))), 0).astype(jnp.int32)
  return alphas, betas, basis, rank


def orthogonalise(w: Array, basis: Array, blocks: Array | int, block: int) -> Array:
  """w (p,) less its part in the span of the first `blocks` (traced) blocks of rows of `basis` (orthonormal or zero).

  Block by block, so that a row comes from memory once though it is used twice. Repeated while a pass takes more than half
  of w away, because what it leaves is then inexact: a loop and no `cond`, which under `vmap` would always run both sides.
  """

  def one(i, w):
    some = basis if block == basis.shape[0] else jax.lax.dynamic_slice_in_dim(basis, i * block, block)
    return w - (some @ w) @ some

  def again(carry):
    _, before, after, passes = carry
    return (after < before / 2) & (passes < 4)

  def full(carry):
    w, _, after, passes = carry
    w = jax.lax.fori_loop(0, blocks, one, w)
    return w, after, jnp.linalg.norm(w), passes + 1

  start = full((w, w[0], jnp.linalg.norm(w), jnp.int32(0)))
  return jax.lax.while_loop(again, full, start)[0]


def block_rows(steps: int, p: int, itemsize: int) -> int:
  """Rows of a block: as many as BLOCK_BYTES hold, but at least 8, and all where they fit."""
  most = max(BLOCK_BYTES // (p * itemsize), 8)
  return math.ceil((steps + 1) / math.ceil((steps + 1) / most))


def orthogonality(basis: Array, rank: Array) -> Array:
  """The largest entry of |Q Q^T - 1| over the first `rank` rows."""
  valid = jnp.arange(basis.shape[0], dtype=jnp.int32) < rank
  gram = basis @ basis.T - jnp.eye(basis.shape[0], dtype=basis.dtype)
  return jnp.max(jnp.abs(jnp.where(valid[:, None] & valid[None], gram, 0)))


def check_steps(steps: int, size: int) -> None:
  if steps < 1:
    raise ValueError(f'{steps} steps were asked for; at least 1 is needed')
  if steps > size:
    raise ValueError(f'{steps} steps were asked for in {size} dimensions; there can be at most {size}')
