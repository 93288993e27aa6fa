"""Extreme eigenpairs of a symmetric operator, with residuals, by thick-restart Lanczos in Davidson's form.

The search space grows by a Krylov sequence from the residual of the worst Ritz pair. From one start vector this is Lanczos;
unlike Lanczos it also accepts several start vectors. We chose it over block Lanczos and LOBPCG because it needs the fewest
products from one vector and can start from all eigenvectors of an earlier call.
"""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from dynamics.linalg import dense
from dynamics.linalg.lanczos import BREAKDOWN, Matvec, flat, orthogonalise
from dynamics.types import Array, Key, Tree

Which = Literal['top', 'bottom', 'both']


class Eigen(NamedTuple):
  """e eigenpairs: k, or 2 k for 'both', the k largest before the k smallest."""

  values: Array  # (e,) descending for 'top', ascending for 'bottom', each half in its own order for 'both'
  vectors: Tree  # (e, ...) orthonormal
  residuals: Array  # (e,) |A v - value v|; A has an eigenvalue within this distance of the value
  products: Array  # () int32: products with the operator that were used
  converged: Array  # () bool: every residual is at most tolerance times the largest |Ritz value|


class _Space(NamedTuple):
  """A search space of up to b dimensions."""

  basis: Array  # (b, p) rows are orthonormal or zero
  image: Array  # (b, p) A applied to each row
  matrix: Array  # (b, b) basis image^T


class _Pairs(NamedTuple):
  space: _Space  # its first e rows are the requested Ritz vectors
  values: Array  # (b,) Ritz values of the rows
  residuals: Array  # (e,)
  scale: Array  # () the largest |Ritz value|
  products: Array
  cycle: Array


def eigsh(
  matvec: Matvec,
  like: Tree,
  k: int,
  key: Key,
  *,
  which: Which = 'top',
  tolerance: float = 1e-4,
  start: Tree | None = None,
  columns: int | None = None,
  products: int = 1000,
) -> Eigen:
  """The k largest ('top') or smallest ('bottom') eigenvalues of a symmetric operator, or k of each ('both'), with vectors.

  The error of an eigenvalue is at most its residual, and about residual^2 / gap: in units of the largest eigenvalue, a
  residual of 1e-4 gives about 1e-6 if eigenvalues are well separated. The Krylov space of one vector contains one eigenvector
  of a repeated eigenvalue. Its other copies appear only once that space is exhausted, or from several start vectors, and
  residuals do not show that one is missing.

  Args:
    matvec: tree -> tree.
    like: a tree with the shapes and dtypes that matvec takes.
    k: the number of eigenvalues at each end.
    key: draws the start vector if `start` is None, and a new direction whenever the Krylov space is exhausted.
    which: the end of the spectrum.
    tolerance: of the residuals, relative to the largest |eigenvalue|. In float32 about 1e-6 is the least that is reached.
    start: (s, ...) start vectors, such as eigenvectors of an earlier call; they need not be orthonormal. Each costs a
      product. If they are still eigenvectors, no more products are needed.
    columns: the largest dimension of the search space, each with two vectors of memory; None is 2 e + 16, or the dimension.
    products: about the largest number of products; `residuals` and `converged` tell what has not converged by then.

  Raises:
    ValueError: fewer than one eigenvalue or more than dimensions; an unknown `which`; too few columns.
  """
  shape = flat(like)
  requested = _check(k, which, columns, shape.size)
  width = min(2 * requested + 16 if columns is None else columns, shape.size)
  retained = width if width == shape.size else min(requested + (width - requested) // 2, width - 1)
  with jax.default_matmul_precision('float32'):
    product = lambda v: shape.ravel(matvec(shape.unravel(v)))
    if width == shape.size:  # the search space is the whole space
      rows = jnp.eye(width, dtype=shape.dtype)
    else:
      rows = jax.random.normal(key, (1, shape.size), shape.dtype) if start is None else jax.vmap(shape.ravel)(start)[:width]
    space = _grow(product, _empty(width, shape), rows, 0, rows.shape[0], jax.random.fold_in(key, 1), krylov=False)
    pairs = _ritz(space, k, which, retained, jnp.int32(rows.shape[0]), jnp.int32(0))

    def unfinished(pairs):
      inexact = ~(jnp.max(pairs.residuals) <= jnp.asarray(tolerance, shape.dtype) * pairs.scale)
      return inexact & jnp.isfinite(pairs.scale) & (pairs.products < products)

    def cycle(pairs):
      worst = jnp.argmax(pairs.residuals)
      residual = pairs.space.image[worst] - pairs.values[worst] * pairs.space.basis[worst]
      cycle_key = jax.random.fold_in(key, 2 + pairs.cycle)
      space = _grow(product, pairs.space, residual[None], retained, width, cycle_key, krylov=True)
      return _ritz(space, k, which, retained, pairs.products + (width - retained), pairs.cycle + 1)

    if width > retained:
      pairs = jax.lax.while_loop(unfinished, cycle, pairs)
    converged = jnp.max(pairs.residuals) <= jnp.asarray(tolerance, shape.dtype) * pairs.scale
    vectors = jax.vmap(shape.unravel)(pairs.space.basis[:requested])
    return Eigen(pairs.values[:requested], vectors, pairs.residuals, pairs.products, converged)


def _empty(width, shape) -> _Space:
  zeros = jnp.zeros((width, shape.size), shape.dtype)
  return _Space(zeros, zeros, jnp.zeros((width, width), shape.dtype))


def _grow(product, space: _Space, rows: Array, first: int, last: int, key: Key, krylov: bool) -> _Space:
  """Fills rows `first` to `last` of a space: with a Krylov sequence that starts at rows[0] if `krylov`, else with `rows`."""
  small, width = BREAKDOWN * jnp.finfo(rows.dtype).eps, space.basis.shape[0]

  def direction(w, basis, scale, j):
    """The part of w orthogonal to the basis, normalised; a random direction if w is in its span; zero if that is everything."""

    def project(w):
      w = orthogonalise(w, basis, 1, width)
      return w, jnp.linalg.norm(w)

    def draw(carry):
      _, _, tries = carry
      return *project(_unit(jax.random.normal(jax.random.fold_in(key, j), w.shape, w.dtype))), tries + 1

    w, size = project(w)
    in_span = ~(size > small * scale)  # the loop below stands for a `cond`, which under `vmap` would always draw
    undrawn = lambda carry: (carry[2] < 1) & in_span
    u, length, tries = jax.lax.while_loop(undrawn, draw, (w, size, jnp.int32(0)))
    least = jnp.where(tries > 0, jnp.asarray(100 * small, w.dtype), 0)  # a shorter projection of a unit vector is rounding
    return jnp.where(length > least, u / jnp.where(length > least, length, 1), 0)

  def step(j, carry):
    (basis, image, matrix), w, scale = carry
    w = w if krylov else rows[j]
    scale = scale if krylov else jnp.linalg.norm(w)
    v = direction(w, basis, scale, j)
    basis = jax.lax.dynamic_update_slice(basis, v[None], (j, 0))
    w = product(v)
    image = jax.lax.dynamic_update_slice(image, w[None], (j, 0))
    h = basis @ w
    matrix = matrix.at[j].set(h).at[:, j].set(h)
    return _Space(basis, image, matrix), w - h @ basis, jnp.maximum(scale, jnp.linalg.norm(w))

  scale = jnp.max(jnp.abs(jnp.diagonal(space.matrix)))
  return jax.lax.fori_loop(first, last, step, (space, rows[0], scale))[0]


def _unit(v):
  return v / jnp.linalg.norm(v)


def _ritz(space: _Space, k: int, which: Which, retained: int, products: Array, cycle: Array) -> _Pairs:
  """The Ritz pairs of a space, the requested ones first, then the next best up to `retained`; the rows after them are zero."""
  width = space.basis.shape[0]
  matrix = (space.matrix + space.matrix.T) / 2
  size = jnp.linalg.norm(matrix)
  # Zero rows would mix with a true eigenvalue of 0. They get an eigenvalue far above the others, which marks them as spurious.
  empty = jnp.sum(jnp.square(space.basis), axis=1) < 0.5
  far = jnp.where(size == 0, 1, 4 * size)
  values, vectors = dense.eigh(matrix + jnp.diag(jnp.where(empty, far, 0)))
  spurious = values > far / 2
  up, down = jnp.where(spurious, -jnp.inf, values), jnp.where(spurious, jnp.inf, values)
  order = {
    'top': jnp.argsort(-up),
    'bottom': jnp.argsort(down),
    'both': _from_both_ends(jnp.argsort(-up), jnp.sum(spurious), k),
  }[which][:retained]
  requested = min(2 * k if which == 'both' else k, width)
  valid = ~spurious[order]
  rotation = jnp.where(valid[None], vectors[:, order], 0).T  # (retained, width)
  values = jnp.where(valid, values[order], 0)
  pad = lambda rows: jnp.zeros((width, rows.shape[1]), rows.dtype).at[:retained].set(rows)
  basis, image = rotation @ space.basis, rotation @ space.image
  residuals = jnp.linalg.norm(image[:requested] - values[:requested, None] * basis[:requested], axis=1)
  scale = jnp.max(jnp.abs(values))
  residuals = jnp.where(valid[:requested], residuals, jnp.inf)
  diagonal = jnp.zeros((width,), values.dtype).at[:retained].set(values)
  return _Pairs(_Space(pad(basis), pad(image), jnp.diag(diagonal)), diagonal, residuals, scale, products, cycle)


def _from_both_ends(descending: Array, spurious: Array, k: int) -> Array:
  """Reorders indices in descending order of value: the k first, the k last, then alternately from both ends inwards.

  The last `spurious` indices, a count, stay last.
  """
  width = descending.shape[0]
  front = jnp.argsort(descending).astype(jnp.int32)  # the position of each index from the front, and from the back
  back = width - spurious.astype(jnp.int32) - 1 - front
  between = 2 * k + 2 * jnp.minimum(front, back) + (back < front).astype(jnp.int32)
  position = jnp.where(front < k, front, jnp.where(back < k, k + back, between))
  return jnp.argsort(jnp.where(back < 0, 4 * width + front, position))


def _check(k: int, which: str, columns: int | None, size: int) -> int:
  if which not in ('top', 'bottom', 'both'):
    raise ValueError(f"which is {which!r}; it must be 'top', 'bottom' or 'both'")
  requested = 2 * k if which == 'both' else k
  if k < 1 or requested > size:
    raise ValueError(f'{requested} eigenvalues were asked for in {size} dimensions; there can be 1 to {size}')
  if columns is not None and columns <= requested and columns < size:
    raise ValueError(f'{columns} columns cannot hold {requested} eigenvectors and grow; take {requested + 1} or more')
  return requested
