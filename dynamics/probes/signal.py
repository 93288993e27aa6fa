"""Weights on the inputs that decide the label against weights on those that do not."""

from collections.abc import Callable

import jax.numpy as jnp

from dynamics import trees
from dynamics.inits import describe, weights
from dynamics.losses import Loss
from dynamics.trees import at_least_float32
from dynamics.types import Array, Probe, stateless


def signal(apply: Callable[..., Array], loss: Loss, *, inputs: int = 1) -> Probe:
  """The weights of the first layer by what they read: the first `inputs` inputs, or the others.

  Reading: along, the norm of the weights that read the first `inputs` inputs (); across, that of all others (). Units of a
    parameter; for one output and one such input, along is |w_1| and across |w_perp|.
  Cost: one pass over the first layer; no memory.
  Oracle: numpy in float64.
  Source: 2301.13703 (signal and noise of the perceptron).
  """

  def read(view, key):
    params = view.variables['params']
    first = at_least_float32(trees.by_path(params)[weights(describe(params))[0].name])
    size = lambda w: jnp.sqrt(jnp.sum(w * w))
    return {'along': size(first[:inputs]), 'across': size(first[inputs:])}

  return stateless(read)
