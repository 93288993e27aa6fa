"""Distributions of one leaf, drawn at unit scale (entries of mean square 1): (key, leaf) -> array.

The structured ones fix the Frobenius norm exactly, to the square root of the number of entries, so that they can be compared at
equal norm.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from dynamics.leaves import Leaf
from dynamics.linalg import dense
from dynamics.random import random_orthonormal
from dynamics.types import Array, Key

Distribution = Callable[[Key, Leaf], Array]

TRUNCATION = 2.0  # standard deviations of the normal before truncation
TRUNCATED_STD = 0.8796256610342398  # of a normal cut at +-2


def gaussian(key: Key, leaf: Leaf) -> Array:
  """N(0, 1)."""
  return jax.random.normal(key, leaf.shape, leaf.dtype)


def truncated(key: Key, leaf: Leaf) -> Array:
  """A normal cut at two standard deviations, rescaled to unit variance."""
  return jax.random.truncated_normal(key, -TRUNCATION, TRUNCATION, leaf.shape, leaf.dtype) / TRUNCATED_STD


def uniform(key: Key, leaf: Leaf) -> Array:
  """U(-sqrt 3, sqrt 3). With gain 1/sqrt 3 under the standard rule: +-1/sqrt(fan_in), as torch draws its layers."""
  return jax.random.uniform(key, leaf.shape, leaf.dtype, -(3**0.5), 3**0.5)


def orthogonal(key: Key, leaf: Leaf) -> Array:
  """A Haar-random (fan_in, fan_out) matrix with orthonormal rows or columns, times sqrt(max(fan_in, fan_out)).

  The factor makes the mean square entry 1. Under the standard rule a square matrix is then orthogonal, and a layer that
  widens has singular values sqrt(fan_out / fan_in), so that it keeps the scale of its inputs' entries.
  Source: 1312.6120.
  """
  rows, columns = _sides(leaf)
  q = random_orthonormal(key, max(rows, columns), min(rows, columns))
  q = q if rows >= columns else q.T
  return (q * max(rows, columns) ** 0.5).reshape(leaf.shape).astype(leaf.dtype)


def low_rank(rank: int, directions: Array | None = None) -> Distribution:
  """The best approximation of this rank to a Gaussian matrix, at the full matrix's norm.

  All ranks of one key come from one Gaussian matrix. The full rank is that matrix itself.

  Args:
    directions: (fan_in, at least rank), orthonormal: the first `rank` take the place of the singular vectors on the input
      side, so that the layer reads only these. None keeps the random ones.
    rank: how many singular values are not zero.

  Raises:
    ValueError: in the draw: a rank above the leaf's sides, or directions of another fan_in or too few.
  Source: 2310.08513: rank at equal norm, and, in proposition 1, a low rank aligned with the task.
  """

  def draw(key, leaf):
    rows, columns = _sides(leaf)
    if rank > min(rows, columns):
      raise ValueError(f'rank is {rank}, but {leaf.name} is {rows} x {columns}: take {min(rows, columns)} at most')
    if directions is not None and (directions.shape[0] != rows or directions.shape[1] < rank):
      raise ValueError(
        f'{leaf.name} is {rows} x {columns} and rank is {rank}, but there are {directions.shape[1]} directions of length '
        f'{directions.shape[0]}: take a smaller rank, or a leaf that reads the inputs'
      )
    u, s, v = dense.svd(jax.random.normal(key, (rows, columns), jnp.float32))
    u = u[:, :rank] if directions is None else directions[:, :rank].astype(jnp.float32)
    return _unit((u * s[None, :rank]) @ v[:rank], leaf)

  return draw


def power_law(exponent: float) -> Distribution:
  """Singular values i^-exponent, i = 1, 2, ..., between Haar-random frames. Exponent 0 is `orthogonal`.

  Source: 2310.08513.
  """

  def draw(key, leaf):
    rows, columns = _sides(leaf)
    least = min(rows, columns)
    left, right = jax.random.split(key)
    s = jnp.arange(1, least + 1, dtype=jnp.float32) ** jnp.float32(-exponent)
    return _unit((random_orthonormal(left, rows, least) * s[None]) @ random_orthonormal(right, columns, least).T, leaf)

  return draw


def dale(excitatory: float) -> Distribution:
  """Dale's law: the weights that leave a unit share their sign, which is + for the first `excitatory` share of units.

  Sizes are those of a Gaussian. The inhibitory ones are stronger in proportion to how few they are, so that the inputs of
  a unit balance in the mean: without that, one eigenvalue of a recurrent kernel is far outside of all others.

  Raises:
    ValueError: in the draw: a leaf with too few units for both signs.
  Source: 2310.08513.
  """

  def draw(key, leaf):
    rows, columns = _sides(leaf)
    positive = round(excitatory * rows)
    if not 0 < positive < rows:
      raise ValueError(f'excitatory is {excitatory}, which makes {positive} of the {rows} units that {leaf.name} leaves so')
    sign = jnp.where(jnp.arange(rows) < positive, 1.0, -positive / (rows - positive)).astype(jnp.float32)
    return _unit(sign[:, None] * jnp.abs(jax.random.normal(key, (rows, columns), jnp.float32)), leaf)

  return draw


def block(blocks: int) -> Distribution:
  """A Gaussian on the diagonal of a blocks x blocks partition into near equal parts, and 0 elsewhere.

  Raises:
    ValueError: in the draw: more blocks than the shorter side has units.
  Source: 2310.08513.
  """

  def draw(key, leaf):
    rows, columns = _sides(leaf)
    if blocks > min(rows, columns):
      raise ValueError(f'blocks is {blocks}, but {leaf.name} is {rows} x {columns}: take {min(rows, columns)} at most')
    part = lambda n: jnp.arange(n) * blocks // n
    kept = part(rows)[:, None] == part(columns)[None]
    return _unit(jnp.where(kept, jax.random.normal(key, (rows, columns), jnp.float32), 0.0), leaf)

  return draw


def _sides(leaf: Leaf) -> tuple[int, int]:
  """Rows (units it leaves) and columns (units it enters) of the matrix that a leaf is; an embedding's tokens are rows."""
  return (leaf.shape[0], leaf.fan_out) if leaf.fan_in == 1 else (leaf.fan_in, leaf.fan_out)


def _unit(w: Array, leaf: Leaf) -> Array:
  """The leaf of this matrix at mean square entry 1."""
  return (w / jnp.sqrt(jnp.mean(jnp.square(w)))).reshape(leaf.shape).astype(leaf.dtype)
