"""Training in a random subspace: w = w0 + P theta with d trained coordinates theta, whatever the model.

Source: 1804.08838 (intrinsic dimension). The structured projection is of the kind of Fastfood, 1408.3060, with random signs
in place of its permutation and Gaussian diagonal; that choice is ours. The sparse one is of the kind of Li, Hastie and Church
2006 (very sparse random projections), with the same number of entries in every column.
"""

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dynamics import trees
from dynamics.components import component
from dynamics.leaves import Leaf
from dynamics.schema import Range, Traced
from dynamics.transforms.parametrization import on_params
from dynamics.types import Array, Key, Tree

RADIX = 16  # of the Hadamard transform: each pass is a product with a RADIX x RADIX matrix

Kind = Literal['dense', 'hadamard', 'sparse']


class Projection(NamedTuple):
  """P (D, most) as what it needs to be stored, and what it does with that."""

  draw: Callable[[Key], Tree]
  times: Callable[[Tree, Array], Array]  # (stored, theta (most,)) -> P theta (D,)


@component()
def subspace(*, most: Range(int, least=1), kind: Kind = 'hadamard', dimension: Traced(least=0.0)):
  """The model with its parameters held to w0 + P theta: theta is all that is trained, and starts at 0.

  w0 is the model's own start. P (D, most) is random, each member's from its own key, and its columns have norm 1 and are near
  orthogonal: |theta| is |w - w0| up to a factor within about 1 +- sqrt(d / D).

  The trained tree is {'coordinates': (most,)}, so optimizers and the probes of parameters (`distance`, `norms`,
  `weight_matrices`) see theta alone, and ratios to the start are NaN. Probes that apply the model see the network; kernels are
  those of the coordinates. variables['frozen']['subspace'] holds w0 and P.

  Args:
    most: the number of columns of P.
    kind: 'dense' stores the (D, most) matrix of Gaussian columns. 'hadamard' takes signs, Hadamard transform, signs, Hadamard
      transform: memory O(D) and time O(D log D), whatever the dimension. 'sparse' has about sqrt(D) random signs in each column:
      memory and time O(most sqrt(D)), which is less than that of 'hadamard' where `most` is below about sqrt(D).
    dimension: d, how many of the coordinates count: a sweep over it is one program.

  Raises:
    ValueError: more columns than parameters, more coordinates than columns, or a model whose layers have learning rates of their
      own.
  Source: 1804.08838.
  """
  if not isinstance(dimension, jax.core.Tracer) and dimension > most:
    raise ValueError(f'hyper.dimension is {dimension:g}, but a subspace has transforms.subspace.most, {most}, coordinates')

  def transform(model):
    if model.rates is not None:
      raise ValueError('a subspace has no layers, but this parametrization gives each layer a learning rate: leave one out')
    if 'subspace' in model.transforms:
      raise ValueError('transforms has subspace twice: take one with the smaller number of coordinates')

    def whole(variables):
      held = variables['frozen']['subspace']
      times = projection(trees.size(held['origin']), most, kind).times
      counts = (jnp.arange(most, dtype=jnp.float32) < dimension).astype(jnp.float32)
      return on_params(
        lambda params: _moved(held['origin'], times(held['projection'], counts * params['coordinates'])), variables
      )

    def init(key, data):
      variables = dict(model.init(key, data))
      origin = variables['params']
      size = trees.size(origin)
      if most > size:
        raise ValueError(f'subspace: most is {most}, but the network has only {size} parameters')
      stored = {'origin': origin, 'projection': projection(size, most, kind).draw(trees.named_key(key, 'projection'))}
      variables['frozen'] = {**variables.get('frozen', {}), 'subspace': stored}
      return {**variables, 'params': {'coordinates': jnp.zeros(most, jnp.float32)}}

    def leaves():
      return {'coordinates': Leaf('coordinates', (most,), jnp.dtype(jnp.float32), 1, most, 'hidden')}

    forward = lambda variables, x, **mode: model.forward(whole(variables), x, **mode)
    inside = lambda variables: model.weights(whole(variables))
    return model._replace(init=init, forward=forward, leaves=leaves, transforms=(*model.transforms, 'subspace'), weights=inside)

  return transform


def _moved(tree: Tree, shift: Array) -> Tree:
  """The tree with the entries of `shift` (D,) added, leaf after leaf."""
  leaves, structure = jax.tree.flatten(tree)
  ends = np.cumsum([leaf.size for leaf in leaves])
  pieces = jnp.split(shift, ends[:-1])
  return jax.tree.unflatten(structure, [w + p.reshape(w.shape).astype(w.dtype) for w, p in zip(leaves, pieces, strict=True)])


def projection(size: int, most: int, kind: Kind) -> Projection:
  """P (size, most) with columns of norm 1, near orthogonal."""
  return {'dense': _dense, 'hadamard': _hadamard, 'sparse': _sparse}[kind](size, most)


def _dense(size: int, most: int) -> Projection:
  def draw(key):
    p = jax.random.normal(key, (size, most), jnp.float32)
    return {'matrix': p / jnp.linalg.norm(p, axis=0, keepdims=True)}

  return Projection(draw, lambda stored, theta: stored['matrix'] @ theta)


def _hadamard(size: int, most: int) -> Projection:
  """Rows 1..size and columns 1..most of diag(r) H diag(s) H / N, with each column then scaled to norm 1.

  H is the Hadamard matrix of order N, the power of two from `size` on; r and s are random signs. The whole matrix is orthogonal.
  Entry (i, j) is r_i q(i xor j) with q = H s / N, so the squared norms of the cut columns are sum over i < size of q(i xor j)^2,
  which two more transforms give for all j.
  """
  n = 1 << max(size - 1, 1).bit_length()

  def draw(key):
    signs = lambda name, count: jax.random.rademacher(trees.named_key(key, name), (count,), jnp.float32)
    outer, inner = signs('outer', size), signs('inner', n)
    with jax.default_matmul_precision('float32'):
      q = transform(inner) / n
      # Behind the barrier, or XLA would spend seconds on folding the transform of a constant.
      rows = jax.lax.optimization_barrier((jnp.arange(n) < size).astype(jnp.float32))
      norms = jnp.sqrt(transform(transform(rows) * transform(jnp.square(q))) / n)
    return {'outer': outer, 'inner': inner, 'scale': 1 / (n * norms[:most])}

  def times(stored, theta):
    first = transform(jnp.pad(stored['scale'] * theta, (0, n - most)))
    return stored['outer'] * transform(stored['inner'] * first)[:size]

  return Projection(draw, times)


def _sparse(size: int, most: int) -> Projection:
  """One entry +-1 / sqrt(r) in each of r = ceil(sqrt(size)) stretches of rows of equal length, at a random place there.

  So no place is drawn twice, every norm is 1, and a row holds an entry of a column with probability about 1 / sqrt(size).
  """
  count = math.isqrt(max(size - 1, 0)) + 1
  edges = np.arange(count + 1) * size // count

  def draw(key):
    low, high = (jnp.asarray(edge, jnp.int32)[None] for edge in (edges[:-1], edges[1:]))
    rows = jax.random.randint(trees.named_key(key, 'rows'), (most, count), low, high, jnp.int32)
    return {'rows': rows, 'signs': jax.random.rademacher(trees.named_key(key, 'signs'), (most, count), jnp.int8)}

  def times(stored, theta):
    entries = stored['signs'].astype(theta.dtype) * (theta / count**0.5)[:, None]
    return jnp.zeros(size, theta.dtype).at[stored['rows']].add(entries)

  return Projection(draw, times)


def transform(x: Array) -> Array:
  """H x for the Hadamard matrix of order N = len(x), a power of two, with entries (-1)^(number of shared bits of i and j).

  H is a Kronecker product of small ones: each pass multiplies the leading digit of the index and moves it to the end, so after
  the last pass the digits stand as before.
  """
  n, left = x.shape[0], x.shape[0]
  while left > 1:
    radix = min(RADIX, left)
    x = (x.reshape(radix, n // radix).T @ jnp.asarray(_walsh(radix), x.dtype)).reshape(n)
    left //= radix
  return x


def _walsh(n: int) -> np.ndarray:
  """The Hadamard matrix of order n, in the natural order."""
  shared = np.arange(n)[:, None] & np.arange(n)[None]
  return np.array([[1.0 - 2.0 * (int(bits).bit_count() % 2) for bits in row] for row in shared])
