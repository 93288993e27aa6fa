"""Inits that draw every weight independently of the others, from one distribution or from two.

Every weight has standard deviation fan_in^(-1/2), times `init_scale`; a parametrization moves that further. Biases start at 0
and scales at 1.
"""

import fnmatch
from collections import defaultdict
from collections.abc import Callable, Hashable
from typing import Literal

import jax
import jax.numpy as jnp

from dynamics import trees
from dynamics.components import component
from dynamics.inits import distributions
from dynamics.inits.directions import correlation, principal
from dynamics.inits.distributions import Distribution
from dynamics.leaves import Leaf, map_leaves, weights
from dynamics.schema import Range, Traced
from dynamics.types import Array, Key, Tree

# (key, leaves, data) -> params; data may be None where an init does not look. One that looks at the model is a function
# (key, leaves, data, *, model), and `network.initialised` gives it the model.
Init = Callable[..., Tree]

Scale = Traced(least=0.0)
Plain = Literal['gaussian', 'truncated', 'uniform', 'orthogonal']


def independent(
  distribution: Distribution, scale=1.0, where: str = '*', others: Distribution | None = None, gain=1.0, looped: bool = True
) -> Init:
  """Weights whose path matches `where` come from `distribution`, times `gain`, and the rest from `others`.

  `looped` draws leaves of one shape in one loop, see `filled`; the weights are the same to the bit.

  Raises:
    ValueError: in the init: a pattern that no weight matches.
  """

  selected = lambda leaf: fnmatch.fnmatch(leaf.name, where)

  def weight(key, leaf):
    law = distribution if selected(leaf) else others
    size = jnp.asarray(scale, jnp.float32) * (jnp.asarray(gain, jnp.float32) if selected(leaf) else 1)
    w = law(key, leaf) * jnp.asarray(leaf.fan_in**-0.5, leaf.dtype)
    return w * size.astype(leaf.dtype)

  def init(key, leaves, data):
    names = [leaf.name for leaf in weights(leaves)]
    if names and not any(fnmatch.fnmatch(name, where) for name in names):
      raise ValueError(f'no weight matches {where!r}; they are {", ".join(names)}')
    return filled(weight, key, leaves, selected if looped else None)

  return init


def filled(weight: Callable[[Key, Leaf], Array], key: Key, leaves: Tree, alike: Callable[[Leaf], Hashable] | None = None) -> Tree:
  """Params: every weight is weight(key of its name, leaf), biases are 0 and scales 1.

  Args:
    alike: what `weight` sees of a leaf's name and depth; None is all of both. Leaves of one shape in which it agrees are drawn
      in one loop, which compiles once, however deep the network is.
  """
  groups = defaultdict(list)
  for leaf in weights(leaves):
    groups[leaf._replace(name='', depth=0) if alike else leaf, alike and alike(leaf)].append(leaf)
  drawn = {}
  for first, *rest in groups.values():
    draw = lambda number, leaf=first: weight(jax.random.fold_in(key, number), leaf)
    numbers = jnp.asarray([trees.number_of(leaf.name) for leaf in (first, *rest)], jnp.uint32)
    drawn |= zip((leaf.name for leaf in (first, *rest)), jax.lax.map(draw, numbers) if rest else [draw(numbers[0])], strict=True)

  def fill(leaf):
    if leaf.role == 'bias':
      return jnp.zeros(leaf.shape, leaf.dtype)
    if leaf.role == 'scale':
      return jnp.ones(leaf.shape, leaf.dtype)
    return drawn[leaf.name]

  return map_leaves(fill, leaves)


@component()
def gaussian(*, init_scale: Scale = 1.0) -> Init:
  """N(0, init_scale^2 / fan_in)."""
  return independent(distributions.gaussian, init_scale)


@component()
def truncated(*, init_scale: Scale = 1.0) -> Init:
  """A normal cut at two standard deviations, with variance init_scale^2 / fan_in."""
  return independent(distributions.truncated, init_scale)


@component()
def uniform(*, init_scale: Scale = 1.0) -> Init:
  """Uniform with variance init_scale^2 / fan_in. At init_scale 1/sqrt 3 it is +-1/sqrt(fan_in), as torch draws its layers."""
  return independent(distributions.uniform, init_scale)


@component()
def orthogonal(*, init_scale: Scale = 1.0) -> Init:
  """Haar-random orthonormal rows or columns, with entries of mean square init_scale^2 / fan_in. Source: 1312.6120."""
  return independent(distributions.orthogonal, init_scale)


@component()
def generalised_gaussian(*, nu: Traced(above=0.0) = 1.0, init_scale: Scale = 1.0) -> Init:
  """Entries of density proportional to exp(-|x / a|^nu), with variance init_scale^2 / fan_in.

  Args:
    nu: the shape: 1 is Laplace's law, 2 the Gaussian; below 2 most weights are small and few are large.
    init_scale: multiplies all weights.

  Source: 2506.00486.
  """
  return independent(distributions.generalised_gaussian(nu), init_scale)


@component()
def low_rank(
  *,
  rank: Range(int, least=1),
  directions: Literal['random', 'task', 'inputs'] = 'random',
  where: str = '*',
  others: Plain = 'gaussian',
  gain: Scale = 1.0,
  init_scale: Scale = 1.0,
) -> Init:
  """The best approximation of this rank to a Gaussian matrix, at the full matrix's norm.

  Args:
    rank: how many singular values are not zero.
    directions: what the layer reads: 'random', singular vectors of the Gaussian matrix; 'task', the singular directions of the
      input-output correlation of the training set; 'inputs', the principal axes of the inputs.
    where: the path of the weights that are so, a pattern such as 'recurrent/*'.
    others: the distribution of all other weights.
    gain: multiplies the weights that `where` selects.
    init_scale: multiplies all weights.

  Source: 2310.08513 (rank at equal norm, and, in proposition 1, a low rank aligned with the task).
  """
  look = {
    'random': lambda data, outputs: None,
    'task': lambda data, outputs: correlation(data.train, outputs)[2],
    'inputs': lambda data, outputs: principal(data.train),
  }[directions]

  def init(key, leaves, data):
    distribution = distributions.low_rank(rank, look(data, weights(leaves)[-1].fan_out))
    return independent(distribution, init_scale, where, getattr(distributions, others), gain)(key, leaves, data)

  return init


@component()
def power_law(
  *,
  exponent: Range(float, least=0.0),
  where: str = '*',
  others: Plain = 'gaussian',
  gain: Scale = 1.0,
  init_scale: Scale = 1.0,
) -> Init:
  """Singular values i^-exponent, i = 1, 2, ..., between Haar-random frames. Other fields as those of `low_rank`.

  Source: 2310.08513.
  """
  return independent(distributions.power_law(exponent), init_scale, where, getattr(distributions, others), gain)


@component()
def dale(
  *,
  excitatory: Range(float, above=0.0, below=1.0) = 0.8,
  where: str = '*',
  others: Plain = 'gaussian',
  gain: Scale = 1.0,
  init_scale: Scale = 1.0,
) -> Init:
  """Dale's law: weights that leave a unit share their sign, + for a share `excitatory`. Other fields as those of `low_rank`.

  Source: 2310.08513.
  """
  return independent(distributions.dale(excitatory), init_scale, where, getattr(distributions, others), gain)


@component()
def block(
  *,
  blocks: Range(int, least=1),
  where: str = '*',
  others: Plain = 'gaussian',
  gain: Scale = 1.0,
  init_scale: Scale = 1.0,
) -> Init:
  """A Gaussian on the diagonal of a blocks x blocks partition, and 0 elsewhere. Other fields as those of `low_rank`.

  Source: 2310.08513.
  """
  return independent(distributions.block(blocks), init_scale, where, getattr(distributions, others), gain)


@component()
def permuted_block(
  *,
  blocks: Range(int, least=1),
  where: str = '*',
  others: Plain = 'gaussian',
  gain: Scale = 1.0,
  init_scale: Scale = 1.0,
) -> Init:
  """`block` with rows and columns in random order, at the same norm: structured sparsity that is exchangeable.

  Other fields as those of `low_rank`. Source: 2310.16597 (pseudo-iid weights).
  """
  return independent(distributions.block(blocks, permuted=True), init_scale, where, getattr(distributions, others), gain)


@component()
def random_sparse(
  *,
  density: Traced(above=0.0, most=1.0) = 0.2,
  where: str = '*',
  others: Plain = 'gaussian',
  gain: Scale = 1.0,
  init_scale: Scale = 1.0,
) -> Init:
  """Every weight is there with probability `density`, Gaussian of variance init_scale^2 / (density fan_in), and else 0.

  Other fields as those of `low_rank`. Source: 2310.16597 (sparse weights at matched variance).
  """
  return independent(distributions.random_sparse(density), init_scale, where, getattr(distributions, others), gain)
