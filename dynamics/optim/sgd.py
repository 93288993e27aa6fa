"""Gradient descent, with and without momentum."""

import optax

from dynamics.components import component
from dynamics.optim.chain import from_optax
from dynamics.schema import Traced


@component()
def sgd(*, lr: Traced(above=0.0), weight_decay: Traced(least=0.0) = 0.0):
  """w <- w - lr (g + weight_decay w)."""
  return from_optax(optax.chain(optax.add_decayed_weights(weight_decay), optax.scale_by_learning_rate(lr)), lr, normalised=False)


@component()
def momentum(*, lr: Traced(above=0.0), beta1: Traced(least=0.0, below=1.0) = 0.9, weight_decay: Traced(least=0.0) = 0.0):
  """m <- beta1 m + g + weight_decay w; w <- w - lr m."""
  decayed = optax.add_decayed_weights(weight_decay)
  return from_optax(optax.chain(decayed, optax.trace(beta1), optax.scale_by_learning_rate(lr)), lr, normalised=False)
