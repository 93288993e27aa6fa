"""How far the network is from its tangent model at step 0, at the same weights."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from dynamics import trees
from dynamics.components import component
from dynamics.losses import Loss, correct, mean, predict
from dynamics.schema import Range
from dynamics.types import Array, Probe, stateless


@component()
def linearisation(apply: Callable[..., Array], loss: Loss, *, examples: Range(int, least=1) = 256) -> Probe:
  """The tangent model f0 + J0 (w - w0) at the network's own weights w, on the first `examples` test inputs.

  Reading: error, |f - f0 - J0 (w - w0)| / |f - f0| over all these outputs (), NaN at step 0; agreement, the share of examples
    in which both name the same class (); loss (), in the loss's unit, and accuracy () of the tangent model, a share of 1.
    Collections beside the parameters are those of now in f and those of step 0 in the tangent model.
  Cost: one forward pass and one Jacobian-vector product, which is about two; no memory.
  Oracle: numpy on a dense Jacobian.
  Source: 1902.06720, equation 5 (tangent model), 1812.07956 (lazy training).
  """

  def read(view, key):
    x, y = view.data.test.x[:examples], view.data.test.y[:examples]
    start = view.anchor['params']
    f = apply(view.variables, x)
    f0, along = jax.jvp(
      lambda params: apply({**view.anchor, 'params': params}, x), (start,), (trees.subtract(view.variables['params'], start),)
    )
    tangent = f0 + along
    finite = jnp.all(jnp.isfinite(f)) & jnp.all(jnp.isfinite(tangent))
    same = jnp.mean((predict(f) == predict(tangent)).astype(jnp.float32))
    return {
      'error': trees.norm(f - f0 - along) / trees.norm(f - f0),
      'agreement': jnp.where(finite, same, jnp.nan),
      'loss': mean(loss(tangent, y)),
      'accuracy': jnp.mean(correct(tangent, y).astype(jnp.float32)),
    }

  return stateless(read)
