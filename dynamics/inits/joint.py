"""Inits that are joint over all layers: balanced deep linear networks, at random or along the task's own directions."""

import itertools

import jax
import jax.numpy as jnp

from dynamics import trees
from dynamics.components import component
from dynamics.inits.directions import correlation
from dynamics.inits.independent import Init
from dynamics.leaves import from_matrices, map_leaves, matrix_shape, weights
from dynamics.random import random_orthonormal
from dynamics.schema import Traced
from dynamics.types import Array


@component(needs=('chain',))
def balanced(*, init_scale: Traced(least=0.0) = 1.0) -> Init:
  """Weight matrices whose product has r equal singular values `init_scale`, between Haar-random directions.

  Every layer has the r singular values init_scale^(1/depth), and turns its neighbours' singular vectors into its own:
  with kernels (fan_in, fan_out), W_l^T W_l = W_(l+1) W_(l+1)^T. Gradient flow on a linear network keeps that so.
  r is the smallest width, inputs and outputs included. Biases are 0 and scales 1.

  Source: 1312.6120 (decoupled initial conditions).
  """
  return lambda key, leaves, data: along(key, leaves, init_scale)


@component(needs=('chain',))
def aligned(*, init_scale: Traced(least=0.0) = 1.0) -> Init:
  """`balanced` along the singular directions of the training set's input-output correlation.

  Each mode of a linear network on whitened inputs then learns by itself, and its strength starts at `init_scale`.
  Source: 1312.6120.
  """

  def init(key, leaves, data):
    right, _, left = correlation(data.train, weights(leaves)[-1].fan_out)
    return along(key, leaves, init_scale, left, right)

  return init


def along(key, leaves, init_scale, left: Array | None = None, right: Array | None = None):
  """Balanced params.

  Args:
    key: of the directions that are not given.
    leaves: of a chain of matrices.
    init_scale: of the product.
    left: (inputs, r), orthonormal: what the network reads. None draws them.
    right: (outputs, r), orthonormal: what it answers, in the same order. None draws them.

  Raises:
    ValueError: weights that do not form a chain, or directions of other lengths.
  """
  chain = weights(leaves)
  for a, b in itertools.pairwise(chain):
    if len(a.shape) != 2 or len(b.shape) != 2 or a.fan_out != matrix_shape(b)[1]:
      raise ValueError(f'a balanced start needs a chain of matrices, but {b.name} is {b.shape} after {a.name}, {a.shape}')
  sides = (matrix_shape(chain[0])[1], *(leaf.fan_out for leaf in chain))
  given = {0: left, len(chain): right}
  r = min(*sides, *(d.shape[1] for d in given.values() if d is not None))
  for i, d in given.items():
    if d is not None and d.shape[0] != sides[i]:
      raise ValueError(f'the directions have length {d.shape[0]}, but the network has {sides[i]} {"outputs" if i else "inputs"}')
  frames = [
    random_orthonormal(trees.named_key(key, f'frame_{i}'), n, r) if given.get(i) is None else given[i][:, :r].astype(jnp.float32)
    for i, n in enumerate(sides)
  ]
  size = jnp.asarray(init_scale, jnp.float32) ** jnp.float32(1 / len(chain))
  with jax.default_matmul_precision('float32'):
    drawn = {leaf.name: from_matrices(leaf, size * frames[i] @ frames[i + 1].T) for i, leaf in enumerate(chain)}

  def place(leaf):
    rest = jnp.ones if leaf.role == 'scale' else jnp.zeros
    return drawn[leaf.name].astype(leaf.dtype) if leaf.name in drawn else rest(leaf.shape, leaf.dtype)

  return map_leaves(place, leaves)
