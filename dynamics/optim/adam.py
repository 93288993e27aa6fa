"""Adam, with weight decay in the gradient or beside it."""

import optax

from dynamics.components import component
from dynamics.linalg.products import adam_scale
from dynamics.optim.chain import from_optax
from dynamics.schema import Traced

Rate = Traced(above=0.0)
Beta = Traced(least=0.0, below=1.0)
NotNegative = Traced(least=0.0)


@component()
def adam(*, lr: Rate, beta1: Beta = 0.9, beta2: Beta = 0.999, eps: NotNegative = 1e-8, weight_decay: NotNegative = 0.0):
  """Adam with weight_decay w added to the gradient: an L2 penalty. Source: 1412.6980."""
  parts = [optax.add_decayed_weights(weight_decay), optax.scale_by_adam(beta1, beta2, eps), optax.scale_by_learning_rate(lr)]
  precondition = lambda state: adam_scale(state[1], beta2=beta2, eps=eps)
  return from_optax(optax.chain(*parts), lr, normalised=True, precondition=precondition)


@component()
def adamw(*, lr: Rate, beta1: Beta = 0.9, beta2: Beta = 0.999, eps: NotNegative = 1e-8, weight_decay: NotNegative = 0.0):
  """Adam with weight decay beside the moments: w <- w - lr (m / scale + weight_decay w). Source: 1711.05101."""
  parts = [optax.scale_by_adam(beta1, beta2, eps), optax.add_decayed_weights(weight_decay), optax.scale_by_learning_rate(lr)]
  precondition = lambda state: adam_scale(state[0], beta2=beta2, eps=eps)
  return from_optax(optax.chain(*parts), lr, normalised=True, precondition=precondition)
