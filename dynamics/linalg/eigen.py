"""Extreme eigenpairs of a symmetric operator, all copies of them, by thick-restart Lanczos in Davidson's form.

The search space grows by a Krylov sequence from the residual of the worst Ritz pair. From one start vector this is Lanczos;
unlike Lanczos it also accepts several start vectors. We chose it over block Lanczos and LOBPCG because it needs the fewest
products from one vector and can start from all eigenvectors of an earlier call. What one vector cannot show, further copies of an
eigenvalue, is looked for afterwards from a random vector that is orthogonal to what was found: `dynamics.linalg.copies`.
"""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from dynamics.linalg import copies, dense
from dynamics.linalg.lanczos import BREAKDOWN, Matvec, flat, orthogonalise
from dynamics.types import Array, Key, Tree

Which = Literal['top', 'bottom', 'both']
LOOK = 12  # products that may always be spent on missing eigenvalues; else three quarters of those of the search
CYCLE = 4  # products from one look at the residuals to the next, where several eigenvalues are asked for


class Eigen(NamedTuple):
  """e eigenpairs: k, or for 'both' the largest before the smallest."""

  values: Array  # (e,) descending for 'top', ascending for 'bottom', each half in its own order for 'both'
  vectors: Tree  # (e, ...) orthonormal
  residuals: Array  # (e,) |A v - value v|; A has an eigenvalue within this distance of the value
  products: Array  # () int32: products with the operator that were used
  converged: Array  # () bool: every residual is at most tolerance times the largest |Ritz value|, and no copy is missing


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


class _Search(NamedTuple):
  """Of eigenvalues that are missing."""

  pairs: _Pairs
  passes: Array  # () int32: random vectors from which they were looked for
  looked: Array  # () int32: products from these since the last one was met
  escape: Array  # (l,) the log of the probability at each end that none of these shows one
  complete: Array  # () bool: none is missing
  undecided: Array  # () bool: it cannot be told yet


def eigsh(
  matvec: Matvec,
  like: Tree,
  k: int | tuple[int, int],
  key: Key,
  *,
  which: Which = 'top',
  tolerance: float = 1e-4,
  start: Tree | None = None,
  recheck: bool = False,
  columns: int | None = None,
  products: int = 1000,
) -> Eigen:
  """The k largest ('top') or smallest ('bottom') eigenvalues of a symmetric operator, or k of each ('both'), with vectors.

  The error of an eigenvalue is at most its residual, and about residual^2 / gap: in units of the largest eigenvalue, a
  residual of 1e-4 gives about 1e-6 if eigenvalues are well separated.

  A Krylov space of one vector contains one eigenvector of a repeated eigenvalue, and residuals do not show that its other copies
  are missing. So where reported values of one end differ by more than twice the tolerance, they are looked for from random
  vectors. If none is missing this takes 3 to 10 products where eigenvalues are well separated, and at most 12 or three quarters
  of what the search took. If any is, the search goes on with it. `converged` then says that values are right to twice the
  tolerance, with all copies, but for a probability of 1e-3 (`copies.FAILURE`) at each end. It is False where that could not
  be told, as in a bulk whose eigenvalues lie nearly as dense as the tolerance.

  Args:
    matvec: tree -> tree.
    like: a tree with the shapes and dtypes that matvec takes.
    k: the number of eigenvalues at each end; for 'both' it may be a pair of them, (top, bottom).
    key: draws the start vector if `start` is None, those from which copies are looked for, and a new direction whenever the
      Krylov space is exhausted.
    which: the end of the spectrum.
    tolerance: of the residuals, relative to the largest |eigenvalue|. In float32 about 1e-6 is the least that is reached.
    start: (s, ...) start vectors, such as eigenvectors of an earlier call; they need not be orthonormal. Each costs a
      product. If they are still eigenvectors, no more products are needed, and they are taken to hold all copies.
    recheck: look for missing copies even then.
    columns: the largest dimension of the search space, each with two vectors of memory; None is the dimension or, if that is
      more, 2 e + 16 for one eigenvalue at an end and 2 e + 24 for several. Few leave no room to look for copies.
    products: about the largest number of products; `residuals` and `converged` tell what has not converged by then.

  Raises:
    ValueError: fewer than one eigenvalue or more than dimensions; an unknown `which`; too few columns.
  """
  shape = flat(like)
  ends = _ends(k, which, columns, shape.size)
  requested, several = sum(ends), max(ends) > 1
  width = min(2 * requested + (24 if several else 16) if columns is None else columns, shape.size)
  half = min(requested + (width - requested) // 2, width - 1)
  # Short cycles find out early that all has converged, which pays for the look for copies.
  retained = width if width == shape.size else max(half, width - CYCLE) if several else half
  with jax.default_matmul_precision('float32'):
    product = lambda v: shape.ravel(matvec(shape.unravel(v)))
    if width == shape.size:  # the search space is the whole space
      rows = jnp.eye(width, dtype=shape.dtype)
    else:
      rows = jax.random.normal(key, (1, shape.size), shape.dtype) if start is None else jax.vmap(shape.ravel)(start)[:width]
    space = _grow(product, _empty(width, shape), rows, 0, rows.shape[0], jax.random.fold_in(key, 1), krylov=False)
    pairs = _ritz(space, ends, retained, jnp.int32(rows.shape[0]), jnp.int32(0))

    def exact(pairs):
      return jnp.max(pairs.residuals) <= jnp.asarray(tolerance, shape.dtype) * pairs.scale

    def unfinished(pairs):
      return ~exact(pairs) & jnp.isfinite(pairs.scale) & (pairs.products < products)

    def cycle(pairs):
      residuals = pairs.residuals
      if several:  # rows that are still empty wait, as from them the sequence would start anew, at random
        inexact = jnp.isfinite(residuals) & (residuals > jnp.asarray(tolerance, shape.dtype) * pairs.scale)
        residuals = jnp.where(jnp.any(inexact) & jnp.isinf(residuals), 0, residuals)
      worst = jnp.argmax(residuals)
      residual = pairs.space.image[worst] - pairs.values[worst] * pairs.space.basis[worst]
      cycle_key = jax.random.fold_in(key, 2 + pairs.cycle)
      space = _grow(product, pairs.space, residual[None], retained, width, cycle_key, krylov=True)
      return _ritz(space, ends, retained, pairs.products + (width - retained), pairs.cycle + 1)

    def look(search):
      """Goes on until the pairs have converged, then looks from one random vector for what is missing."""
      pairs = jax.lax.while_loop(unfinished, cycle, search.pairs)
      look_key = jax.random.fold_in(jax.random.fold_in(key, 0), search.passes)
      resolution = 2 * jnp.asarray(tolerance, shape.dtype) * pairs.scale
      most = jnp.maximum(LOOK, 3 * (pairs.products - search.looked) // 4)
      limit = jnp.where(exact(pairs), jnp.minimum(most - search.looked, products - pairs.products), 0)
      beyond = _beyond(product, pairs, ends, half, resolution, limit, search.escape, look_key)
      # Where it cannot be told yet, the vectors join the space too: the next look then begins further from the level.
      larger = _ritz(beyond.space, ends, retained, pairs.products, pairs.cycle)
      pairs = jax.tree.map(lambda old, new: jnp.where(beyond.complete | (limit <= 0), old, new), pairs, larger)
      pairs = pairs._replace(products=pairs.products + beyond.steps)
      looked = jnp.where(beyond.missing, 0, search.looked + beyond.steps)
      escape = jnp.where(beyond.missing, 0, search.escape + beyond.escape)
      undecided = (limit > 0) & ~beyond.complete & (beyond.missing | (looked < most)) & (pairs.products < products)
      return _Search(pairs, search.passes + 1, looked, escape, beyond.complete, undecided)

    if width == retained:
      complete = True
    elif not several:
      pairs, complete = jax.lax.while_loop(unfinished, cycle, pairs), True
    else:
      trusted = exact(pairs) & (start is not None and not recheck)
      unseen = jnp.zeros((sum(end > 1 for end in ends),), shape.dtype)
      search = _Search(pairs, jnp.int32(0), jnp.int32(0), unseen, trusted, ~trusted)
      search = jax.lax.while_loop(lambda search: search.undecided, look, search)
      pairs, complete = search.pairs, search.complete
    vectors = jax.vmap(shape.unravel)(pairs.space.basis[:requested])
    return Eigen(pairs.values[:requested], vectors, pairs.residuals, pairs.products, exact(pairs) & complete)


def _empty(width, shape) -> _Space:
  zeros = jnp.zeros((width, shape.size), shape.dtype)
  return _Space(zeros, zeros, jnp.zeros((width, width), shape.dtype))


def _grow(product, space: _Space, rows: Array, first: int, last: int, key: Key, krylov: bool) -> _Space:
  """Fills rows `first` to `last` of a space: with a Krylov sequence that starts at rows[0] if `krylov`, else with `rows`."""

  def step(j, carry):
    space, w, scale = carry
    w = w if krylov else rows[j]
    scale = scale if krylov else jnp.linalg.norm(w)
    return _extended(product, space, w, scale, j, key)

  scale = jnp.max(jnp.abs(jnp.diagonal(space.matrix)))
  return jax.lax.fori_loop(first, last, step, (space, rows[0], scale))[0]


def _extended(product, space: _Space, w: Array, scale: Array, j: Array, key: Key) -> tuple[_Space, Array, Array]:
  """The space with w, orthogonalised, as row j; what A maps it to outside of the space; the largest |A v| so far."""
  basis, image, matrix = space
  v = _direction(w, basis, scale, jax.random.fold_in(key, j))
  basis = jax.lax.dynamic_update_index_in_dim(basis, v, j, 0)
  w = product(v)
  image = jax.lax.dynamic_update_index_in_dim(image, w, j, 0)
  h = basis @ w
  matrix = matrix.at[j].set(h).at[:, j].set(h)
  return _Space(basis, image, matrix), w - h @ basis, jnp.maximum(scale, jnp.linalg.norm(w))


def _direction(w: Array, basis: Array, scale: Array, key: Key) -> Array:
  """The part of w orthogonal to the basis, normalised; a random direction if w is in its span; zero if that is everything."""
  small, width = BREAKDOWN * jnp.finfo(w.dtype).eps, basis.shape[0]

  def project(w):
    w = orthogonalise(w, basis, 1, width)
    return w, jnp.linalg.norm(w)

  def draw(carry):
    _, _, tries = carry
    return *project(_unit(jax.random.normal(key, w.shape, w.dtype))), tries + 1

  w, size = project(w)
  in_span = ~(size > small * scale)  # the loop below stands for a `cond`, which under `vmap` would always draw
  undrawn = lambda carry: (carry[2] < 1) & in_span
  u, length, tries = jax.lax.while_loop(undrawn, draw, (w, size, jnp.int32(0)))
  least = jnp.where(tries > 0, jnp.asarray(100 * small, w.dtype), 0)  # a shorter projection of a unit vector is rounding
  return jnp.where(length > least, u / jnp.where(length > least, length, 1), 0)


class _Beyond(NamedTuple):
  space: _Space  # grown by a Krylov sequence, without vectors that are far from eigenvectors
  steps: Array  # () int32: products
  missing: Array  # () bool: an eigenvalue is
  complete: Array  # () bool: none is
  escape: Array  # (l,) as in _Search, of this sequence


def _beyond(product, pairs: _Pairs, ends, first: int, resolution: Array, limit: Array, earlier: Array, key: Key) -> _Beyond:
  """Looks for eigenvalues outside of the span of the first `first` Ritz vectors: up to `limit` Lanczos steps at random."""
  values, basis, image, width = pairs.values[:first], pairs.space.basis, pairs.space.image, pairs.space.basis.shape[0]
  residuals = jnp.linalg.norm(image[:first] - values[:, None] * basis[:first], axis=1)
  level, deflated = copies.levels(values, residuals, *ends, resolution)
  order, held = jnp.argsort(~deflated), jnp.sum(deflated, dtype=jnp.int32)
  rows = jnp.arange(width, dtype=jnp.int32)[:, None] < held
  basis, image = (jnp.where(rows, x.at[:first].set(x[order]), 0) for x in (basis, image))
  matrix = jnp.diag(jnp.where(rows[:, 0], jnp.zeros((width,), basis.dtype).at[:first].set(values[order]), 0))
  dimension = basis.shape[1] - held.astype(basis.dtype)

  def open_(carry):
    _, _, _, steps, verdict, exhausted = carry
    decided = exhausted | copies.missing(verdict, level) | copies.complete(verdict, level, dimension, earlier)
    return ~decided & (steps < jnp.minimum(limit, width - held))

  def step(carry):
    space, w, scale, steps, verdict, _ = carry
    j = held + steps
    space, w, scale = _extended(product, space, w, scale, j, key)
    exhausted = ~(jnp.sum(jnp.square(space.basis[j])) > 0.5)
    verdict = copies.after(verdict, level, space.matrix[j, j], jnp.linalg.norm(w))
    return space, w, scale, steps + 1, verdict, exhausted

  # A vector of zeros makes `_direction` draw one.
  carry = _Space(basis, image, matrix), jnp.zeros_like(basis[0]), pairs.scale, jnp.int32(0), copies.undecided(level), False
  space, _, _, steps, verdict, exhausted = jax.lax.while_loop(open_, step, carry)
  missing = ~exhausted & (limit > 0) & copies.missing(verdict, level)
  complete = (limit > 0) & ~missing & (exhausted | copies.complete(verdict, level, dimension, earlier))
  return _Beyond(space, steps, missing, complete, copies.escape(verdict, dimension))


def _unit(v):
  return v / jnp.linalg.norm(v)


def _ritz(space: _Space, ends: tuple[int, int], retained: int, products: Array, cycle: Array) -> _Pairs:
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
  if not ends[1]:
    order = jnp.argsort(-up)
  else:
    order = _from_both_ends(jnp.argsort(-up), jnp.sum(spurious), *ends) if ends[0] else jnp.argsort(down)
  order, requested = order[:retained], min(sum(ends), width)
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


def _from_both_ends(descending: Array, spurious: Array, top: int, bottom: int) -> Array:
  """Reorders indices in descending order of value: the first `top`, the last `bottom`, then alternately from both ends inwards.

  The last `spurious` indices, a count, stay last.
  """
  width = descending.shape[0]
  front = jnp.argsort(descending).astype(jnp.int32)  # the position of each index from the front, and from the back
  back = width - spurious.astype(jnp.int32) - 1 - front
  inwards, outwards = front - top, back - bottom
  between = top + bottom + 2 * jnp.minimum(inwards, outwards) + (outwards < inwards).astype(jnp.int32)
  position = jnp.where(front < top, front, jnp.where(back < bottom, top + back, between))
  return jnp.argsort(jnp.where(back < 0, 4 * width + front, position))


def _ends(k: int | tuple[int, int], which: str, columns: int | None, size: int) -> tuple[int, int]:
  """How many eigenvalues are requested at the top and at the bottom."""
  if which not in ('top', 'bottom', 'both'):
    raise ValueError(f"which is {which!r}; it must be 'top', 'bottom' or 'both'")
  if isinstance(k, tuple) and which != 'both':
    raise ValueError(f"k is {k}, for two ends, but which is {which!r}; it must be 'both'")
  top, bottom = k if isinstance(k, tuple) else (k, k)
  ends = {'top': (top, 0), 'bottom': (0, bottom), 'both': (top, bottom)}[which]
  requested = sum(ends)
  if min(top, bottom) < 1 or requested > size:
    raise ValueError(f'{requested} eigenvalues were asked for in {size} dimensions; there can be 1 to {size}')
  if columns is not None and columns <= requested and columns < size:
    raise ValueError(f'{columns} columns cannot hold {requested} eigenvectors and grow; take {requested + 1} or more')
  return ends
