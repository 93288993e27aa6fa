"""Distributions of one leaf, drawn at unit scale (entries of mean square 1): (key, leaf) -> array.

The structured ones draw matrices, rows being inputs and columns outputs, whichever axes of the leaf these are; copies (scanned
layers, experts) are drawn independently. They fix the Frobenius norm of each exactly, to the square root of the number of its
entries, so that they can be compared at equal norm.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from dynamics import trees
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


def block(blocks: int, permuted: bool = False) -> Distribution:
  """A Gaussian on the diagonal of a blocks x blocks partition into near equal parts, and 0 elsewhere.

  Args:
    blocks: as many for rows as for columns.
    permuted: rows and columns are then shuffled, so that any two of them are exchangeable.

  Raises:
    ValueError: in the draw: more blocks than the shorter side has units.
  Source: 2310.08513; 2310.16597 (shuffled: structured sparsity that is pseudo-iid).
  """

  def draw(key, leaf):
    _, rows, columns = matrix_shape(leaf)
    if blocks > min(rows, columns):
      raise ValueError(f'blocks is {blocks}, but {leaf.name} is {rows} x {columns}: take {min(rows, columns)} at most')

    def matrix(key, rows, columns):
      part = lambda n: jnp.arange(n) * blocks // n
      shuffled = lambda side, n: jax.random.permutation(trees.named_key(key, side), part(n)) if permuted else part(n)
      inside = shuffled('rows', rows)[:, None] == shuffled('columns', columns)[None]
      return jnp.where(inside, jax.random.normal(key, (rows, columns), jnp.float32), 0.0)

    return _drawn(matrix, key, leaf)

  return draw


def generalised_gaussian(nu) -> Distribution:
  """Entries of density proportional to exp(-|x / a|^nu): 1 is Laplace's law, 2 the Gaussian, and large ones are flat.

  a^2 = Gamma(1 / nu) / Gamma(3 / nu) makes the variance 1; the kurtosis is Gamma(5 / nu) Gamma(1 / nu) / Gamma(3 / nu)^2.

  Args:
    nu: above 0; it may be traced.

  Source: 2506.00486.
  """

  def draw(key, leaf):
    dtype = jnp.float64 if leaf.dtype == jnp.float64 else jnp.float32
    size, sign = jax.random.split(key)
    inverse = 1 / jnp.asarray(nu, dtype)
    log_a = (jax.lax.lgamma(inverse) - jax.lax.lgamma(3 * inverse)) / 2
    sizes = jnp.exp(log_a + inverse * jax.random.loggamma(size, inverse, leaf.shape, dtype))
    return (sizes * jax.random.rademacher(sign, leaf.shape, dtype)).astype(leaf.dtype)

  return draw


def random_sparse(density) -> Distribution:
  """A Gaussian entry with probability `density`, which may be traced, and 0 otherwise; the kurtosis is 3 / density."""

  def draw(key, leaf):
    value, place = jax.random.split(key)
    share = jnp.asarray(density, jnp.float32)
    present = jax.random.uniform(place, leaf.shape, jnp.float32) < share
    return jnp.where(present, gaussian(value, leaf) * jax.lax.rsqrt(share).astype(leaf.dtype), 0)

  return draw


def centred(distribution: Distribution) -> Distribution:
  """`distribution` at the centre of a convolution's window and 0 elsewhere; other leaves are drawn from it whole."""

  def draw(key, leaf):
    taps = math.prod(leaf.shape[k] for k in leaf.window)
    return at_centre(leaf, lambda centre: distribution(key, centre)) * jnp.asarray(taps**0.5, leaf.dtype)

  return draw


def at_centre(leaf: Leaf, draw: Callable[[Leaf], Array]) -> Array:
  """What `draw` gives for the leaf with a window of one place, put at the centre of its own window, with 0 around.

  The centre of an even window is where padding 'SAME' puts the input at an output's own place.
  """
  taps = math.prod(leaf.shape[k] for k in leaf.window)
  shape = tuple(1 if k in leaf.window else n for k, n in enumerate(leaf.shape))
  around = [((n - 1) // 2, n // 2) if k in leaf.window else (0, 0) for k, n in enumerate(leaf.shape)]
  return jnp.pad(draw(leaf._replace(shape=shape, fan_in=leaf.fan_in // taps)), around)


def _drawn(matrix: Callable[[Key, int, int], Array], key: Key, leaf: Leaf) -> Array:
  """The leaf whose copies are matrices (rows, columns) of their own keys, each at mean square entry 1."""
  copies, rows, columns = matrix_shape(leaf)

  def unit(key):
    w = matrix(key, rows, columns)
    return w / jnp.sqrt(jnp.mean(jnp.square(w)))

  # A single matrix has the leaf's key, so that it is drawn from the Gaussian matrix that `gaussian` draws.
  drawn = unit(key)[None] if copies == 1 else jax.vmap(unit)(jax.random.split(key, copies))
  return from_matrices(leaf, drawn).astype(leaf.dtype)
