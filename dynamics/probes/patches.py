"""How strongly the first layer answers to each patch of its inputs."""

from collections.abc import Callable

import jax.numpy as jnp

from dynamics import trees
from dynamics.inits.leaves import describe, weights
from dynamics.losses import Loss
from dynamics.trees import at_least_float32
from dynamics.types import Array, Probe


def patches(apply: Callable[..., Array], loss: Loss) -> Probe:
  """Projections of the patches of the training inputs on the filters of the first layer.

  Reading: largest (p,), for each patch position the largest |<w_j, x_ip>| over filters j and training examples i; mean_square
    (p,), the mean of <w_j, x_ip>^2 over both. Inputs (n, p, d) have p patches, inputs (n, d) one. In units of a parameter times
    a feature. Where patch p is a feature with the sign of the label, largest is that feature's max_j |<w_j, u>|.
  Cost: the first layer's product with all training inputs; no memory.
  Oracle: numpy in float64, pair by pair.
  Source: 2310.17074 (feature and noise learning). Token inputs, and first layers that are no (d, h) matrix, are refused.
  """

  def first(variables, x):
    if jnp.issubdtype(x.dtype, jnp.integer):
      raise ValueError('patches need features, but these inputs are tokens')
    leaf = weights(describe(variables['params']))[0]
    if len(leaf.shape) != 2 or leaf.shape[0] != x.shape[-1]:
      raise ValueError(
        f'patches needs a first layer of {x.shape[-1]} rows, one a feature of a patch; {leaf.name} is {leaf.shape}'
      )
    return at_least_float32(trees.by_path(variables['params'])[leaf.name])

  def init(view):
    first(view.variables, view.data.train.x)  # refuses before anything is compiled
    return ()

  def measure(view, memory, key):
    x = view.data.train.x
    answers = at_least_float32(x.reshape((x.shape[0], -1, x.shape[-1]))) @ first(view.variables, x)
    square = jnp.mean(jnp.square(answers), axis=(0, 2))
    largest = jnp.max(jnp.abs(answers), axis=(0, 2))
    # XLA's max on a CPU may pass over a NaN; a mean never does.
    return {'largest': jnp.where(jnp.isnan(square), jnp.nan, largest), 'mean_square': square}, memory

  return Probe(init, measure)
