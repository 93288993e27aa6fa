"""Traces and diagonals of operators from random vectors, each with its standard error."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from dynamics.linalg import dense
from dynamics.linalg.lanczos import Matvec, flat
from dynamics.types import Array, Key, Tree


class Estimate(NamedTuple):
  """A mean over independent draws, and its standard error: the deviation over the root of their number, NaN for one draw."""

  mean: Tree
  error: Tree


def estimate(draws: Array) -> Estimate:
  """The mean over the first axis, with its standard error."""
  n = draws.shape[0]
  mean = jnp.mean(draws, axis=0)
  spread = jnp.sum(jnp.square(draws - mean[None]), axis=0)
  return Estimate(mean, jnp.sqrt(spread / (n * (n - 1))) if n > 1 else jnp.full_like(mean, jnp.nan))


def hutchinson(matvec: Matvec, like: Tree, key: Key, *, vectors: int = 10) -> Estimate:
  """tr A from v^T A v over vectors of random signs, which any square A may have. Source: Hutchinson 1990.

  Its variance for a symmetric A is 2 sum of squares off the diagonal, over `vectors`. One product a vector.
  """
  shape = _checked(like, vectors)
  draw = lambda v: v @ shape.ravel(matvec(shape.unravel(v)))
  with jax.default_matmul_precision('float32'):
    return estimate(jax.lax.map(draw, _signs(key, vectors, shape)))


def hutchpp(matvec: Matvec, like: Tree, key: Key, *, vectors: int = 30) -> Estimate:
  """tr A by Hutch++: exact on the range of A times a third of the vectors, Hutchinson on what is left.

  Better than `hutchinson` where few eigenvalues make most of the trace. `vectors` is the number of products, about; memory
  for two thirds of them. The standard error is that of the remainder. Source: 2010.09649.

  Raises:
    ValueError: fewer than 6 products, or a sketch of more vectors than dimensions.
  """
  shape = _checked(like, vectors)
  third = vectors // 3
  if third < 2 or third > shape.size:
    raise ValueError(f'hutchpp takes 6 products or more, a third of them at most {shape.size}, the dimension; not {vectors}')
  product = lambda v: shape.ravel(matvec(shape.unravel(v)))
  one, two = jax.random.split(key)
  with jax.default_matmul_precision('float32'):
    sketch = jax.lax.map(product, _signs(one, third, shape))
    q = dense.qr(sketch.T)[0].T  # (third, p)
    large = jnp.sum(q * jax.lax.map(product, q))
    outside = lambda v: v - (q @ v) @ q

    def draw(v):
      v = outside(v)
      return v @ product(v)

    left = estimate(jax.lax.map(draw, _signs(two, third, shape)))
  return Estimate(large + left.mean, left.error)


def diagonal(matvec: Matvec, like: Tree, key: Key, *, vectors: int = 10) -> Estimate:
  """The diagonal of A as a tree, mean of v * (A v) over vectors of random signs, with standard errors in the same shape."""
  shape = _checked(like, vectors)

  def add(sums, v):
    mean, squares, n = sums
    product = v * shape.ravel(matvec(shape.unravel(v)))
    step = product - mean
    mean = mean + step / (n + 1)
    return (mean, squares + step * (product - mean), n + 1), None

  none = jnp.zeros((shape.size,), shape.dtype)
  with jax.default_matmul_precision('float32'):
    keys = jax.random.split(key, vectors)
    draws = lambda sums, key: add(sums, jax.random.rademacher(key, (shape.size,), shape.dtype))
    (mean, squares, _), _ = jax.lax.scan(draws, (none, none, jnp.zeros((), shape.dtype)), keys)
  error = jnp.sqrt(squares / (vectors * (vectors - 1))) if vectors > 1 else jnp.full_like(mean, jnp.nan)
  return Estimate(shape.unravel(mean), shape.unravel(error))


def _checked(like, vectors):
  if vectors < 1:
    raise ValueError(f'{vectors} vectors were asked for; at least 1 is needed')
  return flat(like)


def _signs(key, vectors, shape):
  return jax.random.rademacher(key, (vectors, shape.size), shape.dtype)
