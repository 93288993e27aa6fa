"""Naive loss minimisation: does the gradient only scale the logits up?"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from dynamics import trees
from dynamics.components import component
from dynamics.losses import Loss, mean, predict
from dynamics.schema import Range
from dynamics.types import Array, Probe, stateless


@component()
def alignment(apply: Callable[..., Array], loss: Loss, *, stretch: Range(float, above=0.0) = 0.01, leaves: bool = True) -> Probe:
  """The descent direction against the direction of naive loss minimisation, in which all weights grow in proportion.

  Reading: cosine, of -gradient and w (), on the whole training set; with `leaves` that of each parameter array under
    cosine_of/; unchanged, the share of training examples whose predicted class is the same after w <- (1 + stretch) w
    (); loss_change, the training loss after that step minus before (), in the loss's unit. cosine is NaN where the
    gradient is exactly zero.
  Cost: one gradient and one forward pass on the training examples.
  Oracle: numpy on a dense Jacobian; for a homogeneous network unchanged is 1 exactly.
  Source: 2501.04697, figure 3; for a homogeneous network w is the direction of naive loss minimisation.
  """

  def read(view, key):
    data, params = view.data.train, view.variables['params']

    def objective(w):
      outputs = apply({**view.variables, 'params': w}, data.x)
      return mean(loss(outputs, data.y)), outputs

    (before, outputs), grads = jax.value_and_grad(objective, has_aux=True)(params)
    after, stretched = objective(jax.tree.map(lambda w: w * (1 + stretch), params))
    descent = jax.tree.map(jnp.negative, grads)
    out = {
      'cosine': trees.cosine(descent, params),
      'unchanged': jnp.mean((predict(outputs) == predict(stretched)).astype(jnp.float32)),
      'loss_change': after - before,
    }
    if leaves:
      named = trees.by_path(params)
      out['cosine_of'] = {path: trees.cosine(g, named[path]) for path, g in trees.by_path(descent).items()}
    return out

  return stateless(read)
