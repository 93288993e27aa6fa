"""Extreme eigenpairs of a symmetric operator, with their residuals.

Thick-restart Lanczos in Davidson's form: the space grows by products of the operator with the residual of the worst pair,
which is Lanczos for one start vector, and takes any number of start vectors, which Lanczos does not. Chosen over block
Lanczos and LOBPCG because from one vector it needs the fewest products, and from the pairs of an earlier reading it starts
with all of them.
"""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from dynamics.linalg import dense
from dynamics.linalg.lanczos import BREAKDOWN, Matvec, flat, orthogonalise
from dynamics.types import Array, Key, Tree

Which = Literal['top', 'bottom', 'both']


class Eigen(NamedTuple):
  """e eigenpairs: k, or 2 k for 'both', where the k largest stand before the k smallest."""

  values: Array  # (e,) the largest first for 'top', the smallest first for 'bottom'
  vectors: Tree  # (e, ...) orthonormal
  residuals: Array  # (e,) |A v - value v|; an eigenvalue of A lies within it
  products: Array  # () int32: products with the operator
  converged: Array  # () bool: every residual is at most tolerance times the largest |value| seen


class _Space(NamedTuple):
  """Rows of `basis` are orthonormal or zero, `image` is A of them, `matrix` = basis image^T; b rows."""

  basis: Array  # (b, p)
  image: Array  # (b, p)
  matrix: Array  # (b, b)


class _Pairs(NamedTuple):
  space: _Space  # in which the first e rows are the wanted pairs
  values: Array  # (b,) of the rows
  residuals: Array  # (e,)
  scale: Array  # () the largest |value|
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
  """The k largest ('top') or smallest ('bottom') eigenvalues of a symmetric operator, or k of each, with eigenvectors.

  An eigenvalue's error is at most its residual, and about residual^2 / gap: with a residual of 1e-4 it is known to about
  1e-6 where eigenvalues lie well apart, in units of the largest.

  Args:
    matvec: tree -> tree.
    like: a tree of the shapes and dtypes that matvec takes.
    k: how many, of each end.
    key: for the start vector where `start` is None, and for a new direction wherever the space is exhausted.
    which: the end of the spectrum.
    tolerance: of the residuals, relative to the largest |eigenvalue| seen. float32 gives no less than about 1e-6.
    start: (s, ...) vectors to begin with, such as those of an earlier reading; they need not be orthonormal. Each costs a
      product, and where they still are eigenvectors nothing more is needed.
    columns: vectors that are kept, and their images; None is 2 e + 16, or the dimension.
    products: the most products, about; what has not converged by then shows in `residuals` and `converged`.

  Raises:
    ValueError: more eigenvalues than dimensions, fewer than one, an unknown `which`, too few columns.
  """
  shape = flat(like)
  wanted = _check(k, which, columns, shape.size)
  width = min(2 * wanted + 16 if columns is None else columns, shape.size)
  kept = width if width == shape.size else min(wanted + (width - wanted) // 2, width - 1)
  tall = jax.vmap(shape.ravel)
  with jax.default_matmul_precision('float32'):
    product = lambda v: shape.ravel(matvec(shape.unravel(v)))
    if width == shape.size:  # so few dimensions that the whole matrix is taken
      rows = jnp.eye(width, dtype=shape.dtype)
    else:
      rows = jax.random.normal(key, (1, shape.size), shape.dtype) if start is None else tall(start)[:width]
    first = _grow(product, _empty(width, shape), rows, 0, rows.shape[0], jax.random.fold_in(key, 1), given=True)
    pairs = _ritz(first, k, which, kept, jnp.int32(rows.shape[0]), jnp.int32(0))

    def goes_on(pairs):
      rough = ~(jnp.max(pairs.residuals) <= jnp.asarray(tolerance, shape.dtype) * pairs.scale)
      return rough & jnp.isfinite(pairs.scale) & (pairs.products < products)

    def cycle(pairs):
      # The residual of the worst of the wanted pairs is where the space grows.
      worst = jnp.argmax(pairs.residuals)
      away = pairs.space.image[worst] - pairs.values[worst] * pairs.space.basis[worst]
      some = jax.random.fold_in(key, 2 + pairs.cycle)
      grown = _grow(product, pairs.space, away[None], kept, width, some, given=False)
      return _ritz(grown, k, which, kept, pairs.products + (width - kept), pairs.cycle + 1)

    if width > kept:
      pairs = jax.lax.while_loop(goes_on, cycle, pairs)
    converged = jnp.max(pairs.residuals) <= jnp.asarray(tolerance, shape.dtype) * pairs.scale
    vectors = jax.vmap(shape.unravel)(pairs.space.basis[:wanted])
    return Eigen(pairs.values[:wanted], vectors, pairs.residuals, pairs.products, converged)


def _empty(width, shape) -> _Space:
  none = jnp.zeros((width, shape.size), shape.dtype)
  return _Space(none, none, jnp.zeros((width, width), shape.dtype))


def _grow(product, space: _Space, rows: Array, first: int, last: int, key: Key, given: bool) -> _Space:
  """Fills rows `first` to `last` of a space: with `rows`, where they are given, else with a Krylov sequence from rows[0]."""
  small, width = BREAKDOWN * jnp.finfo(rows.dtype).eps, space.basis.shape[0]

  def direction(w, basis, scale, j):
    """A unit vector orthogonal to the basis along w, a random one where w lies within, zero where nothing is left."""

    def reduce(w):
      w = orthogonalise(w, basis, 1, width)
      return w, jnp.linalg.norm(w)

    def draw(carry):
      _, _, tries = carry
      return *reduce(_unit(jax.random.normal(jax.random.fold_in(key, j), w.shape, w.dtype))), tries + 1

    w, size = reduce(w)
    missing = ~(size > small * scale)  # a loop in place of a `cond`, which under `vmap` would always draw
    fresh = lambda carry: (carry[2] < 1) & missing
    u, length, tries = jax.lax.while_loop(fresh, draw, (w, size, jnp.int32(0)))
    least = jnp.where(tries > 0, jnp.asarray(100 * small, w.dtype), 0)  # a random unit vector that lies within is rounding
    return jnp.where(length > least, u / jnp.where(length > least, length, 1), 0)

  def step(j, carry):
    (basis, image, matrix), w, scale = carry
    w = rows[j] if given else w
    scale = jnp.linalg.norm(w) if given else scale
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


def _ritz(space: _Space, k: int, which: Which, kept: int, products: Array, cycle: Array) -> _Pairs:
  """The best approximations within a space, the wanted ones first, and the next best as far as `kept`."""
  width = space.basis.shape[0]
  matrix = (space.matrix + space.matrix.T) / 2
  size = jnp.linalg.norm(matrix)
  # Rows that are zero must not mix with a true eigenvalue of 0: they are given one far away, and known by it.
  empty = jnp.sum(jnp.square(space.basis), axis=1) < 0.5
  far = jnp.where(size == 0, 1, 4 * size)
  values, vectors = dense.eigh(matrix + jnp.diag(jnp.where(empty, far, 0)))
  ghost = values > far / 2
  up, down = jnp.where(ghost, -jnp.inf, values), jnp.where(ghost, jnp.inf, values)
  order = {
    'top': jnp.argsort(-up),
    'bottom': jnp.argsort(down),
    # The k largest, the k smallest, and then what is left in between by turns.
    'both': _ends(jnp.argsort(-up), jnp.sum(ghost), k),
  }[which][:kept]
  wanted = min(2 * k if which == 'both' else k, width)
  real = ~ghost[order]
  turn = jnp.where(real[None], vectors[:, order], 0).T  # (kept, width)
  values = jnp.where(real, values[order], 0)
  fill = lambda rows: jnp.zeros((width, rows.shape[1]), rows.dtype).at[:kept].set(rows)
  basis, image = turn @ space.basis, turn @ space.image
  residuals = jnp.linalg.norm(image[:wanted] - values[:wanted, None] * basis[:wanted], axis=1)
  scale = jnp.max(jnp.abs(values))
  residuals = jnp.where(real[:wanted], residuals, jnp.inf)  # a pair that is not there yet
  diagonal = jnp.zeros((width,), values.dtype).at[:kept].set(values)
  return _Pairs(_Space(fill(basis), fill(image), jnp.diag(diagonal)), diagonal, residuals, scale, products, cycle)


def _ends(descending: Array, ghosts: Array, k: int) -> Array:
  """Of positions in descending order: the k first, the k last, the others by their distance to an end; ghosts come last."""
  width = descending.shape[0]
  front = jnp.argsort(descending).astype(jnp.int32)  # the place of each
  back = width - ghosts.astype(jnp.int32) - 1 - front
  between = 2 * k + 2 * jnp.minimum(front, back) + (back < front).astype(jnp.int32)
  place = jnp.where(front < k, front, jnp.where(back < k, k + back, between))
  return jnp.argsort(jnp.where(back < 0, 4 * width + front, place))


def _check(k: int, which: str, columns: int | None, size: int) -> int:
  if which not in ('top', 'bottom', 'both'):
    raise ValueError(f"which is {which!r}; it must be 'top', 'bottom' or 'both'")
  wanted = 2 * k if which == 'both' else k
  if k < 1 or wanted > size:
    raise ValueError(f'{wanted} eigenvalues were asked for in {size} dimensions; there can be 1 to {size}')
  if columns is not None and columns <= wanted and columns < size:
    raise ValueError(f'{columns} columns cannot hold {wanted} eigenvectors and grow; take {wanted + 1} or more')
  return wanted
