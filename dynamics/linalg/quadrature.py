"""Spectra of symmetric operators by stochastic Lanczos quadrature: densities, moments and traces with standard errors.

Source: 1901.10159 (spectra of Hessians of networks in this way); Ubaru, Chen and Saad 2017 (the quadrature).
"""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from dynamics.linalg import dense
from dynamics.linalg.lanczos import Matvec, check_steps, flat, orthogonality, tridiagonal
from dynamics.linalg.traces import Estimate, estimate
from dynamics.types import Array, Key, Tree

SIDE_BY_SIDE = 2**13  # parameters up to which probe vectors go side by side; larger products fill the processor alone
Layout = Literal['auto', 'map', 'vmap']


class Quadrature(NamedTuple):
  """For each of s probe vectors a measure on the eigenvalues: tr f(A) is about `size` sum_i weights_i f(nodes_i)."""

  nodes: Array  # (s, steps) eigenvalues of T, ascending, in units of an eigenvalue
  weights: Array  # (s, steps), at least 0, summing to 1
  rank: Array  # (s,) steps before the Krylov space was exhausted; nodes beyond have weight 0
  orthogonality: Array  # (s,) the largest entry of |Q Q^T - 1|
  size: Array  # () the dimension p, in the dtype of the nodes


def slq(matvec: Matvec, like: Tree, key: Key, *, steps: int = 100, vectors: int = 10, layout: Layout = 'auto') -> Quadrature:
  """The spectrum of a symmetric operator, seen from random vectors of signs.

  Args:
    matvec: tree -> tree. What it closes over, such as one linearisation, is shared by all vectors.
    like: a tree of the shapes and dtypes that matvec takes.
    steps: products a vector. Moments of order up to 2 steps - 1 are exact for each vector.
    vectors: random vectors; two or more for standard errors.
    layout: 'vmap' runs the vectors side by side, 'map' one after the other; 'auto' decides by the size of `like`.

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

  def one(key):
    v = jax.random.rademacher(key, (shape.size,), shape.dtype)
    alphas, betas, basis, rank = tridiagonal(product, v, steps)
    return *gauss(alphas, betas), rank, orthogonality(basis[:steps], rank)

  keys = jax.random.split(key, vectors)
  beside = layout == 'vmap' or (layout == 'auto' and shape.size <= SIDE_BY_SIDE)
  with jax.default_matmul_precision('float32'):
    found = jax.vmap(one)(keys) if beside else jax.lax.map(one, keys)
  return Quadrature(*found, jnp.asarray(shape.size, shape.dtype))


def gauss(alphas: Array, betas: Array) -> tuple[Array, Array]:
  """(nodes, weights), (s,) each, of the Gauss quadrature of a tridiagonal matrix; rows without a beta before weigh 0."""
  nodes, vectors = dense.eigh(jnp.diag(alphas) + jnp.diag(betas[:-1], 1) + jnp.diag(betas[:-1], -1))
  return nodes, vectors[0] ** 2


def function(found: Quadrature, f: Callable[[Array], Array]) -> Estimate:
  """tr f(A), with the standard error over probe vectors. f acts on each eigenvalue, and is finite at 0."""
  return estimate(found.size * jnp.sum(found.weights * f(found.nodes), axis=-1))


def trace(found: Quadrature) -> Estimate:
  """tr A."""
  return function(found, lambda x: x)


def moments(found: Quadrature, orders: Sequence[int]) -> Estimate:
  """tr A^q / p for each order q: (len(orders),) means over all eigenvalues, in units of an eigenvalue to the q."""
  each = [jnp.sum(found.weights * found.nodes**q, axis=-1) for q in orders]
  return estimate(jnp.stack(each, axis=-1))


def density(found: Quadrature, grid: Array, sigma: Array | float) -> Estimate:
  """The density of eigenvalues, smoothed by a normal of width sigma, at the points of `grid` (g,).

  It integrates to 1; per unit of an eigenvalue.
  """
  grid, sigma = jnp.asarray(grid, found.nodes.dtype), jnp.asarray(sigma, found.nodes.dtype)

  def one(nodes, weights):
    z = (grid[:, None] - nodes[None]) / sigma
    return jnp.exp(-jnp.square(z) / 2) @ weights / (sigma * (2 * jnp.pi) ** 0.5)

  with jax.default_matmul_precision('float32'):
    return estimate(jax.vmap(one)(found.nodes, found.weights))
