"""Distributions of one leaf, drawn at unit scale (entries of mean square 1): (key, leaf) -> array.

The structured ones draw matrices, rows being inputs and columns outputs, whichever axes of the leaf these are; copies (scanned
layers, experts) are drawn independently. They fix the Frobenius norm of each exactly, to the square root of the number of its
entries, so that they can be compared at equal norm.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from dynamics.leaves import Leaf, from_matrices, matrix_shape
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

  def matrix(key, rows, columns):
    q = random_orthonormal(key, max(rows, columns), min(rows, columns))
    return q if rows >= columns else q.T

  return _drawn(matrix, key, leaf)


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
    _, rows, columns = matrix_shape(leaf)
    if rank > min(rows, columns):
      raise ValueError(f'rank is {rank}, but {leaf.name} is {rows} x {columns}: take {min(rows, columns)} at most')
    if directions is not None and (directions.shape[0] != rows or directions.shape[1] < rank):
      raise ValueError(
        f'{leaf.name} is {rows} x {columns} and rank is {rank}, but there are {directions.shape[1]} directions of length '
        f'{directions.shape[0]}: take a smaller rank, or a leaf that reads the inputs'
      )

    def matrix(key, rows, columns):
      u, s, v = dense.svd(jax.random.normal(key, (rows, columns), jnp.float32))
      u = u[:, :rank] if directions is None else directions[:, :rank].astype(jnp.float32)
      return (u * s[None, :rank]) @ v[:rank]

    return _drawn(matrix, key, leaf)

  return draw


def power_law(exponent: float) -> Distribution:
  """Singular values i^-exponent, i = 1, 2, ..., between Haar-random frames. Exponent 0 is `orthogonal`.

  Source: 2310.08513.
  """

  def matrix(key, rows, columns):
    least = min(rows, columns)
    left, right = jax.random.split(key)
    s = jnp.arange(1, least + 1, dtype=jnp.float32) ** jnp.float32(-exponent)
    return (random_orthonormal(left, rows, least) * s[None]) @ random_orthonormal(right, columns, least).T

  return lambda key, leaf: _drawn(matrix, key, leaf)


def dale(excitatory: float) -> Distribution:
  """Dale's law: the weights that leave a unit share their sign, which is + for the first `excitatory` share of units.

  Sizes are those of a Gaussian. The inhibitory ones are stronger in proportion to how few they are, so that the inputs of
  a unit balance in the mean: without that, one eigenvalue of a recurrent kernel is far outside of all others.

  Raises:
    ValueError: in the draw: a leaf with too few units for both signs.
  Source: 2310.08513.
  """

  def draw(key, leaf):
    _, rows, _ = matrix_shape(leaf)
    positive = round(excitatory * rows)
    if not 0 < positive < rows:
      raise ValueError(f'excitatory is {excitatory}, which makes {positive} of the {rows} units that {leaf.name} leaves so')

    def matrix(key, rows, columns):
      sign = jnp.where(jnp.arange(rows) < positive, 1.0, -positive / (rows - positive)).astype(jnp.float32)
      return sign[:, None] * jnp.abs(jax.random.normal(key, (rows, columns), jnp.float32))

    return _drawn(matrix, key, leaf)

  return draw


def block(blocks: int) -> Distribution:
  """A Gaussian on the diagonal of a blocks x blocks partition into near equal parts, and 0 elsewhere.

  Raises:
    ValueError: in the draw: more blocks than the shorter side has units.
  Source: 2310.08513.
  """

  def draw(key, leaf):
    _, rows, columns = matrix_shape(leaf)
    if blocks > min(rows, columns):
      raise ValueError(f'blocks is {blocks}, but {leaf.name} is {rows} x {columns}: take {min(rows, columns)} at most')

    def matrix(key, rows, columns):
      part = lambda n: jnp.arange(n) * blocks // n
      inside = part(rows)[:, None] == part(columns)[None]
      return jnp.where(inside, jax.random.normal(key, (rows, columns), jnp.float32), 0.0)

    return _drawn(matrix, key, leaf)

  return draw


def _drawn(matrix: Callable[[Key, int, int], Array], key: Key, leaf: Leaf) -> Array:
  """The leaf whose copies are matrices (rows, columns) of their own keys, each at mean square entry 1."""
  copies, rows, columns = matrix_shape(leaf)

  def unit(key):
    w = matrix(key, rows, columns)
    return w / jnp.sqrt(jnp.mean(jnp.square(w)))

  # A single matrix has the leaf's key, so that it is drawn from the Gaussian matrix that `gaussian` draws.
  drawn = unit(key)[None] if copies == 1 else jax.vmap(unit)(jax.random.split(key, copies))
  return from_matrices(leaf, drawn).astype(leaf.dtype)
