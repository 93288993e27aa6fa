"""Matrix sensing: linear measurements of a matrix of low rank, as labelled examples whose inputs are matrices."""

from typing import Literal

import jax
import jax.numpy as jnp

from dynamics import trees
from dynamics.components import component
from dynamics.random import random_orthonormal
from dynamics.schema import Range, Traced
from dynamics.types import Batch, Data, Task


@component()
def matrix_sensing(
  *,
  rows: Range(int, least=1) = 20,
  columns: Range(int, least=1) = 20,
  symmetric: bool = True,
  singular: tuple[Range(float, least=0.0), ...] = (1.0, 1.0),
  operator: Literal['gaussian', 'entries'] = 'gaussian',
  train: Range(int, least=1) = 400,
  noise: Range(float, least=0.0) = 0.0,
  outlier: Range(float, least=0.0) = 10.0,
  dtype: Literal['float32', 'float64'] = 'float32',
  outlier_share: Traced(least=0.0, most=1.0) = 0.0,
) -> Task:
  """y_i = <A_i, M> + noise. x: (n, rows, columns), the matrices A_i; y: (n, 1) floats.

  M has the given singular values between random directions, the same at either side where it is `symmetric`. The test
  examples are the entries of M without noise: A = e_a e_b^T, row by row, so that a linear model's answers to them are its matrix.
  All keys and dtypes draw alike.

  Args:
    rows, columns: of M.
    symmetric: M is positive semi-definite, and A_i symmetric: (A + A^T) / 2 of a Gaussian A, which measures the same.
    singular: of M; their number is its rank.
    operator: 'gaussian', entries N(0, 1), for which the mean of <A, R>^2 is |R|_F^2; 'entries', A_i = sqrt(n) e_a e_b^T,
      which sees every entry and has that mean too.
    train: the number of measurements n; 'entries' takes rows times columns and leaves it unused.
    noise: standard deviation of N(0, noise^2) on every measurement.
    outlier: standard deviation of the outliers.
    dtype: of x and y; the model follows it.
    outlier_share: the share of measurements to which an outlier is added.

  Raises:
    ValueError: sides that do not fit; in the draw, float64 outside of 64-bit mode.
  Source: 2310.01769 (both settings, without noise), 2202.08788 (symmetric, with noise and outliers).
  """
  r = len(singular)
  if symmetric and rows != columns:
    raise ValueError(f'symmetric needs a square matrix, but rows is {rows} and columns {columns}')
  if not 0 < r <= min(rows, columns):
    raise ValueError(f'singular has {r} values; it must have 1 to {min(rows, columns)}, the smaller of rows and columns')
  n = rows * columns if operator == 'entries' else train

  def draw(key):
    if dtype == 'float64' and not jax.config.jax_enable_x64:
      raise ValueError("data.dtype 'float64' needs 64-bit mode: set loss.dtype to 'float64'")
    left = random_orthonormal(trees.named_key(key, 'left'), rows, r).astype(dtype)
    right = left if symmetric else random_orthonormal(trees.named_key(key, 'right'), columns, r).astype(dtype)
    m = (left * jnp.asarray(singular, dtype)[None]) @ right.T
    every = jnp.eye(rows * columns, dtype=dtype).reshape((-1, rows, columns))
    if operator == 'entries':
      a = every * n**0.5
    else:
      a = jax.random.normal(trees.named_key(key, 'operator'), (n, rows, columns), jnp.float32).astype(dtype)
    a = (a + a.transpose((0, 2, 1))) / 2 if symmetric else a
    y = a.reshape((n, -1)) @ m.reshape((-1, 1))
    if noise:
      y = y + noise * jax.random.normal(trees.named_key(key, 'noise'), (n, 1), jnp.float32).astype(dtype)
    hit = jax.random.uniform(trees.named_key(key, 'hit'), (n, 1), jnp.float32) < outlier_share
    gross = outlier * jax.random.normal(trees.named_key(key, 'outlier'), (n, 1), jnp.float32).astype(dtype)
    y = jnp.where(hit, y + gross, y)
    return Data(Batch(a, y), Batch(every, m.reshape((-1, 1))))

  return Task(draw, outputs=1)
