"""Naive loss minimisation: does the gradient only scale the logits up?"""

import jax
import jax.numpy as jnp

from dynamics import losses, trees
from dynamics.components import component
from dynamics.probes.evaluation import network
from dynamics.schema import Range
from dynamics.types import Probe, stateless


@component()
def alignment(*, stretch: Range(float, above=0.0) = 0.01, leaves: bool = True) -> Probe:
  """The descent direction against the direction of naive loss minimisation, in which all weights grow in proportion.

  Reading:
    cosine (): of -gradient and w, on the whole training set; NaN where the gradient is exactly zero.
    cosine_of/leaf (): the same of each parameter array, with `leaves`.
    unchanged (): the share of training examples whose predicted class is the same after w <- (1 + stretch) w.
    loss_change (), unit of the loss: the training loss after that step minus before.
  Cost: one gradient and one forward pass on the training examples.
  Oracle: numpy on a dense Jacobian; for a homogeneous network unchanged is 1 exactly.
  Source: 2501.04697, figure 3; for a homogeneous network w is the direction of naive loss minimisation.
  """

  def read(view, key):
    data, params = view.data.train, view.variables['params']

    def value(w):
      outputs = network(view)(w, data.x)
      return losses.mean(losses.each(view.problem.loss, outputs, data.y)), outputs

    (before, outputs), grads = jax.value_and_grad(value, has_aux=True)(params)
    after, stretched = value(jax.tree.map(lambda w: w * (1 + stretch), params))
    descent = jax.tree.map(jnp.negative, grads)
    reading = {
      'cosine': trees.cosine(descent, params),
      'unchanged': jnp.mean((losses.predict(outputs) == losses.predict(stretched)).astype(jnp.float32)),
      'loss_change': after - before,
    }
    if leaves:
      named = trees.by_path(params)
      reading['cosine_of'] = {path: trees.cosine(g, named[path]) for path, g in trees.by_path(descent).items()}
    return reading

  return stateless(read)
