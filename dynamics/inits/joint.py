"""Starts that are joint over all layers: balanced deep linear networks, at random or along the task's own directions."""

import itertools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from dynamics import trees
from dynamics.inits.laws import frame
from dynamics.inits.leaves import over, weights
from dynamics.linalg import dense
from dynamics.types import Array, Batch, Data, Hyper, Key, Tree

Init = Callable[[Key, Tree, Hyper], Tree]


def balanced(left: Array | None = None, right: Array | None = None) -> Init:
  """A chain of weight matrices whose product has r equal singular values `init_scale` (1 where there is no such hyper value).

  Every layer has the r singular values init_scale^(1/depth), and turns its neighbours' singular vectors into its own:
  with kernels (fan_in, fan_out), W_l^T W_l = W_(l+1) W_(l+1)^T. Gradient flow on a linear network keeps that so.
  r is the smallest width, inputs and outputs included, or the number of directions given. Biases are 0 and scales 1.

  Args:
    left: (inputs, r), orthonormal: what the network reads. None draws them.
    right: (outputs, r), orthonormal: what it answers, in the same order. None draws them.

  To be used with the standard rule.

  Raises:
    ValueError: in the init: weights that do not form a chain, or directions of other lengths.
  Source: 1312.6120 (decoupled initial conditions).
  """

  def init(key, leaves, hyper):
    chain = weights(leaves)
    for a, b in itertools.pairwise(chain):
      if len(a.shape) != 2 or len(b.shape) != 2 or a.shape[1] != b.shape[0]:
        raise ValueError(f'a balanced start needs a chain of matrices, but {b.name} is {b.shape} after {a.name}, {a.shape}')
    sides = (chain[0].shape[0], *(leaf.shape[1] for leaf in chain))
    given = {0: left, len(chain): right}
    r = min(*sides, *(d.shape[1] for d in given.values() if d is not None))
    for i, d in given.items():
      if d is not None and d.shape[0] != sides[i]:
        raise ValueError(
          f'the directions have length {d.shape[0]}, but the network has {sides[i]} {"outputs" if i else "inputs"}'
        )
    frames = [
      frame(trees.named_key(key, f'frame_{i}'), n, r) if given.get(i) is None else given[i][:, :r].astype(jnp.float32)
      for i, n in enumerate(sides)
    ]
    size = jnp.asarray(hyper.get('init_scale', 1.0), jnp.float32) ** jnp.float32(1 / len(chain))
    with jax.default_matmul_precision('float32'):
      drawn = {leaf.name: size * frames[i] @ frames[i + 1].T for i, leaf in enumerate(chain)}

    def place(leaf):
      rest = jnp.ones if leaf.role == 'scale' else jnp.zeros
      return drawn[leaf.name].astype(leaf.dtype) if leaf.name in drawn else rest(leaf.shape, leaf.dtype)

    return over(place, leaves)

  return init


def aligned(outputs: int) -> Callable[[Data], Init]:
  """`balanced` along the singular directions of the training set's input-output correlation: data -> Init.

  Each mode of a linear network on whitened inputs then learns by itself, and its strength starts at `init_scale`.
  `outputs` is that of `correlation`.
  Source: 1312.6120.
  """

  def look(data):
    right, _, left = correlation(data.train, outputs)
    return balanced(left, right)

  return look


def correlation(examples: Batch, outputs: int) -> tuple[Array, Array, Array]:
  """U (k, r), s (r,), V (d, r) of U S V^T = (1/n) sum y x^T, r = min(k, d).

  Labels count as one-hot vectors of k = `outputs` entries, or as -1 and 1 where k is 1. Inputs with more than one axis are
  flattened.

  Raises:
    ValueError: inputs that are tokens.
  Source: 1312.6120 (Sigma^31).
  """
  x, y = features(examples), examples.y
  if jnp.issubdtype(y.dtype, jnp.integer):
    y = jax.nn.one_hot(y, outputs, dtype=jnp.float32) if outputs > 1 else (2 * y - 1)[:, None]
  u, s, vt = dense.svd(y.T.astype(jnp.float32) @ x / x.shape[0])
  return u, s, vt.T


def principal(examples: Batch) -> Array:
  """The principal axes of the inputs, (d, min(n, d)), the strongest first; inputs are centred first.

  Raises:
    ValueError: inputs that are tokens.
  """
  x = features(examples)
  return dense.svd(x - jnp.mean(x, axis=0, keepdims=True)).vt.T


def features(examples: Batch) -> Array:
  """The inputs as a matrix (n, d) of float32; further axes are flattened.

  Raises:
    ValueError: inputs that are tokens.
  """
  if jnp.issubdtype(examples.x.dtype, jnp.integer):
    raise ValueError('directions of the inputs need features, but these inputs are tokens')
  return examples.x.reshape((examples.x.shape[0], -1)).astype(jnp.float32)
