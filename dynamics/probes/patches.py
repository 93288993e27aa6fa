"""How strongly the first layer answers to each patch of its inputs."""

import jax.numpy as jnp

from dynamics import trees
from dynamics.components import component
from dynamics.leaves import weights
from dynamics.probes.evaluation import array
from dynamics.trees import at_least_float32
from dynamics.types import Probe


@component(needs=('features',))
def patches() -> Probe:
  """Projections of the patches of the training inputs on the filters w_j of the first layer.

  Inputs x (n, p, d) have p patches, inputs (n, d) one. Where patch p is a feature u with the sign of the label, largest is that
  feature's max_j |<w_j, u>|.

  Reading:
    largest (p,), a parameter times a feature: the largest |<w_j, x_ip>| over filters j and training examples i.
    mean_square (p,), a parameter times a feature, squared: the mean of <w_j, x_ip>^2 over both.
  Cost: the first layer's product with all training inputs; no state.
  Oracle: numpy in float64, pair by pair.
  Source: 2310.17074 (feature and noise learning). Token inputs, and first layers that are no (d, h) matrix, are refused.
  """

  def filters(view):
    x = array(view.data.train.x)
    if jnp.issubdtype(x.dtype, jnp.integer):
      raise ValueError('patches need features, but these inputs are tokens')
    leaf = weights(view.problem.model.leaves())[0]
    if len(leaf.shape) != 2 or leaf.shape[0] != x.shape[-1]:
      raise ValueError(
        f'patches needs a first layer of {x.shape[-1]} rows, one a feature of a patch; {leaf.name} is {leaf.shape}'
      )
    return at_least_float32(trees.by_path(view.variables['params'])[leaf.name])

  def init(view):
    filters(view)  # refuses before anything is compiled
    return ()

  def measure(view, state, key):
    w, x = filters(view), view.data.train.x
    answers = at_least_float32(x.reshape((x.shape[0], -1, x.shape[-1]))) @ w
    square = jnp.mean(jnp.square(answers), axis=(0, 2))
    largest = jnp.max(jnp.abs(answers), axis=(0, 2))
    # XLA's max on a CPU may pass over a NaN; a mean never does.
    return {'largest': jnp.where(jnp.isnan(square), jnp.nan, largest), 'mean_square': square}, state

  return Probe(init, measure)
