"""Stochastic estimates of the trace and the diagonal of an operator, with standard errors."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from dynamics.linalg import dense
from dynamics.linalg.lanczos import Matvec, flat
from dynamics.types import Array, Key, Tree


class Estimate(NamedTuple):
  """A mean over n independent draws."""

  mean: Tree
  error: Tree  # its standard error, sqrt(sample variance / n); NaN for one draw


def estimate(draws: Array) -> Estimate:
  """The mean over the first axis of draws (n, ...), with its standard error: two arrays (...)."""
  n = draws.shape[0]
  mean = jnp.mean(draws, axis=0)
  squares = jnp.sum(jnp.square(draws - mean[None]), axis=0)
  return Estimate(mean, jnp.sqrt(squares / (n * (n - 1))) if n > 1 else jnp.full_like(mean, jnp.nan))


def hutchinson(matvec: Matvec, like: Tree, key: Key, *, vectors: int = 10) -> Estimate:
  """tr A for any square operator A: the mean of v^T A v over Rademacher vectors v. Source: Hutchinson 1990.

  One product per vector. For a symmetric A the variance is 2 sum_{i != j} A_ij^2 / `vectors`.

  Raises:
    ValueError: fewer than one vector; leaves that are not floating.
  """
  shape = _checked_flat(like, vectors)
  draw = lambda v: v @ shape.ravel(matvec(shape.unravel(v)))
  with jax.default_matmul_precision('float32'):
    return estimate(jax.lax.map(draw, _signs(key, vectors, shape)))


def hutchpp(matvec: Matvec, like: Tree, key: Key, *, vectors: int = 30) -> Estimate:
  """tr A by Hutch++: the exact trace on the range of a sketch of A, plus Hutchinson's estimate on its complement.

  More accurate than `hutchinson` if a few eigenvalues make up most of the trace. It takes 3 (vectors // 3) products and
  memory for two thirds as many vectors. Only the second part is random, and the standard error is its own.
  Source: 2010.09649.

  Raises:
    ValueError: fewer than 6 vectors, or a sketch (a third of the vectors) larger than the dimension.
  """
  shape = _checked_flat(like, vectors)
  third = vectors // 3
  if third < 2 or third > shape.size:
    raise ValueError(f'hutchpp takes 6 products or more, a third of them at most {shape.size}, the dimension; not {vectors}')
  product = lambda v: shape.ravel(matvec(shape.unravel(v)))
  sketch_key, draw_key = jax.random.split(key)
  with jax.default_matmul_precision('float32'):
    sketch = jax.lax.map(product, _signs(sketch_key, third, shape))
    q = dense.qr(sketch.T)[0].T  # (third, p)
    sketch_trace = jnp.sum(q * jax.lax.map(product, q))
    complement = lambda v: v - (q @ v) @ q

    def draw(v):
      v = complement(v)
      return v @ product(v)

    rest = estimate(jax.lax.map(draw, _signs(draw_key, third, shape)))
  return Estimate(sketch_trace + rest.mean, rest.error)


def diagonal(matvec: Matvec, like: Tree, key: Key, *, vectors: int = 10) -> Estimate:
  """The diagonal of A: the mean of v * (A v), elementwise, over Rademacher vectors v, one product each.

  Both the mean and the standard error are trees like `like`. Memory is constant in the number of vectors.

  Raises:
    ValueError: fewer than one vector; leaves that are not floating.
  """
  shape = _checked_flat(like, vectors)

  def add(sums, v):
    mean, squares, n = sums
    product = v * shape.ravel(matvec(shape.unravel(v)))
    step = product - mean
    mean = mean + step / (n + 1)
    return (mean, squares + step * (product - mean), n + 1), None

  zeros = jnp.zeros((shape.size,), shape.dtype)
  with jax.default_matmul_precision('float32'):
    keys = jax.random.split(key, vectors)
    draw = lambda sums, key: add(sums, jax.random.rademacher(key, (shape.size,), shape.dtype))
    (mean, squares, _), _ = jax.lax.scan(draw, (zeros, zeros, jnp.zeros((), shape.dtype)), keys)
  error = jnp.sqrt(squares / (vectors * (vectors - 1))) if vectors > 1 else jnp.full_like(mean, jnp.nan)
  return Estimate(shape.unravel(mean), shape.unravel(error))


def _checked_flat(like, vectors):
  if vectors < 1:
    raise ValueError(f'{vectors} vectors were asked for; at least 1 is needed')
  return flat(like)


def _signs(key, vectors, shape):
  return jax.random.rademacher(key, (vectors, shape.size), shape.dtype)
