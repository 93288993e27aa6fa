"""Stochastic Lanczos quadrature: spectral densities, moments and traces of a symmetric operator, with standard errors.

Source: Ubaru, Chen and Saad 2017 (the quadrature); 1901.10159 (Hessian spectra of networks).
"""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from dynamics.linalg import dense
from dynamics.linalg.lanczos import Matvec, check_steps, flat, orthogonality, tridiagonal
from dynamics.linalg.traces import Estimate, estimate
from dynamics.types import Array, Key, Tree

VMAP_SIZE = 2**13  # the dimension up to which 'auto' runs probe vectors side by side; one larger product fills the processor
Layout = Literal['auto', 'map', 'vmap']


class Quadrature(NamedTuple):
  """A Gauss quadrature rule for each of s probe vectors: tr f(A) is about `size` * sum_i weights_i f(nodes_i)."""

  nodes: Array  # (s, steps) Ritz values, the eigenvalues of T, ascending
  weights: Array  # (s, steps) non-negative, each row sums to 1
  rank: Array  # (s,) steps before the Krylov space was exhausted; later nodes have weight 0
  orthogonality: Array  # (s,) the largest entry of |Q Q^T - 1|, a measure of rounding
  size: Array  # () the dimension p, in the dtype of the nodes
  shared: Array  # (s, leading) squared cosines with the Ritz vectors of the first probe vector's largest nodes, ascending


def slq(
  matvec: Matvec,
  like: Tree,
  key: Key,
  *,
  steps: int = 100,
  vectors: int = 10,
  layout: Layout = 'auto',
  leading: int = 0,
) -> Quadrature:
  """Stochastic Lanczos quadrature of a symmetric operator: one Gauss rule for each Rademacher probe vector.

  Args:
    matvec: tree -> tree. Whatever it closes over, such as one linearisation, is shared by all vectors.
    like: a tree with the shapes and dtypes that matvec takes.
    steps: Lanczos steps, and products, per vector. v^T A^q v is exact for each v up to q = 2 steps - 1.
    vectors: the number of probe vectors; standard errors need two or more.
    layout: 'vmap' runs the vectors side by side, 'map' one after the other; 'auto' chooses by the size of `like`.
    leading: the number of largest nodes, at most `steps`, whose Ritz vectors from the first probe vector are held to compute
      `shared`. A node of the others weighs more than the share of its Ritz vector if its eigenvalue has copies.

  Raises:
    ValueError: more steps than dimensions, fewer than one vector, an unknown layout, leaves that are not floating.
  """
  shape = flat(like)
  check_steps(steps, shape.size)
  if vectors < 1:
    raise ValueError(f'{vectors} vectors were asked for; at least 1 is needed')
  if layout not in ('auto', 'map', 'vmap'):
    raise ValueError(f"layout is {layout!r}; it must be 'auto', 'map' or 'vmap'")
  product = lambda q: shape.ravel(matvec(shape.unravel(q)))
  draw = lambda key: jax.random.rademacher(key, (shape.size,), shape.dtype)

  def rule(key):
    """The rule of one probe vector, and the Ritz vectors of its largest nodes."""
    alphas, betas, basis, rank = tridiagonal(product, draw(key), steps)
    ritz = _ritz(alphas, betas)[1][:, steps - leading :].T @ basis[:steps] if leading else None
    return (*gauss(alphas, betas), rank, orthogonality(basis[:steps], rank)), ritz

  def one_by_one(keys):
    if not leading:
      return jax.lax.map(lambda key: rule(key)[0], keys), None

    def step(first, item):
      row, (values, ritz) = item[0], rule(item[1])
      return jnp.where(row == 0, ritz, first), values

    first = jnp.zeros((leading, shape.size), shape.dtype)
    first, rules = jax.lax.scan(step, first, (jnp.arange(vectors, dtype=jnp.int32), keys))
    return rules, first

  keys = jax.random.split(key, vectors)
  batched = layout == 'vmap' or (layout == 'auto' and shape.size <= VMAP_SIZE)
  with jax.default_matmul_precision('float32'):
    if batched:
      rules, ritz = jax.vmap(rule)(keys)
      first = ritz[0] if leading else None
    else:
      rules, first = one_by_one(keys)
    size = jnp.asarray(shape.size, shape.dtype)
    square = lambda key: jnp.square(first @ draw(key)) / size
    shared = jax.lax.map(square, keys) if leading else jnp.zeros((vectors, 0), shape.dtype)
  return Quadrature(*rules, size, shared)


def gauss(alphas: Array, betas: Array) -> tuple[Array, Array]:
  """(nodes, weights), (s,) each, of the Gauss rule of a tridiagonal matrix: its eigenvalues and squared first components.

  Rows that a zero beta cuts off from the first row have weight 0.
  """
  nodes, vectors = _ritz(alphas, betas)
  return nodes, vectors[0] ** 2


def _ritz(alphas, betas):
  return dense.eigh(jnp.diag(alphas) + jnp.diag(betas[:-1], 1) + jnp.diag(betas[:-1], -1))


def function(quadrature: Quadrature, f: Callable[[Array], Array]) -> Estimate:
  """tr f(A), a scalar, with its standard error over probe vectors. f is elementwise and must be finite at 0."""
  return estimate(quadrature.size * jnp.sum(quadrature.weights * f(quadrature.nodes), axis=-1))


def trace(quadrature: Quadrature) -> Estimate:
  """tr A, a scalar in units of an eigenvalue."""
  return function(quadrature, lambda x: x)


def moments(quadrature: Quadrature, orders: Sequence[int]) -> Estimate:
  """tr(A^q) / p for each order q, the mean q-th power of the eigenvalues: (len(orders),)."""
  powers = [jnp.sum(quadrature.weights * quadrature.nodes**q, axis=-1) for q in orders]
  return estimate(jnp.stack(powers, axis=-1))


def density(quadrature: Quadrature, grid: Array, sigma: Array | float) -> Estimate:
  """The spectral density at the points of `grid` (g,), convolved with a normal of standard deviation sigma: (g,).

  It integrates to 1; its unit is 1 over that of an eigenvalue.
  """
  grid, sigma = jnp.asarray(grid, quadrature.nodes.dtype), jnp.asarray(sigma, quadrature.nodes.dtype)

  def smoothed(nodes, weights):
    z = (grid[:, None] - nodes[None]) / sigma
    return jnp.exp(-jnp.square(z) / 2) @ weights / (sigma * (2 * jnp.pi) ** 0.5)

  with jax.default_matmul_precision('float32'):
    return estimate(jax.vmap(smoothed)(quadrature.nodes, quadrature.weights))
