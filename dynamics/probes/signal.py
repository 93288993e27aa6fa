"""Weights on the inputs that decide the label against weights on those that do not."""

import jax.numpy as jnp

from dynamics import trees
from dynamics.components import component
from dynamics.leaves import weights
from dynamics.schema import Range
from dynamics.trees import at_least_float32
from dynamics.types import Probe, stateless


@component()
def signal(*, inputs: Range(int, least=1) = 1) -> Probe:
  """The weights of the first layer by what they read: the first `inputs` inputs, or the others.

  Reading:
    along (), a parameter: the norm of the weights that read the first `inputs` inputs; |w_1| for one output and one such input.
    across (), a parameter: the norm of all other weights of the layer; |w_perp| there.
  Cost: one pass over the first layer; no state.
  Oracle: numpy in float64.
  Source: 2301.13703 (signal and noise of the perceptron).
  """

  def read(view, key):
    kernel = at_least_float32(trees.by_path(view.variables['params'])[weights(view.problem.model.leaves())[0].name])
    size = lambda w: jnp.sqrt(jnp.sum(w * w))
    return {'along': size(kernel[:inputs]), 'across': size(kernel[inputs:])}

  return stateless(read)
