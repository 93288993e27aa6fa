"""How far the network is from its tangent model at step 0, at the same weights."""

import jax
import jax.numpy as jnp

from dynamics import losses, trees
from dynamics.components import component
from dynamics.probes.evaluation import first
from dynamics.schema import Range
from dynamics.types import Probe, stateless


@component()
def linearisation(*, examples: Range(int, least=1) = 256) -> Probe:
  """The tangent model f0 + J0 (w - w0) at the network's own weights w, on the first `examples` test inputs.

  Collections beside the parameters are those of now in f and those of step 0 in the tangent model.

  Reading:
    error (): |f - f0 - J0 (w - w0)| / |f - f0| over all these outputs; NaN where w is w0, as at step 0.
    agreement (): the share of examples in which both name the same class.
    loss (), unit of the loss: the loss of the tangent model.
    accuracy (): the share of examples whose class the tangent model predicts.
  Cost: one forward pass and one Jacobian-vector product, which is about two; no state.
  Oracle: numpy on a dense Jacobian.
  Source: 1902.06720, equation 5 (tangent model), 1812.07956 (lazy training).
  """

  def read(view, key):
    (x, y), apply = first(view.data.test, examples), view.problem.model.apply
    start = view.initial['params']
    f = apply(view.variables, x)
    away = trees.subtract(view.variables['params'], start)
    f0, change = jax.jvp(lambda params: apply({**view.initial, 'params': params}, x), (start,), (away,))
    tangent = f0 + change
    finite = jnp.all(jnp.isfinite(f)) & jnp.all(jnp.isfinite(tangent))
    same = jnp.mean((losses.predict(f) == losses.predict(tangent)).astype(jnp.float32))
    # At w0 both terms are rounding: f and f0 come out of different programs.
    error = trees.norm(f - f0 - change) / trees.norm(f - f0)
    return {
      'error': jnp.where(trees.dot(away, away) > 0, error, jnp.nan),
      'agreement': jnp.where(finite, same, jnp.nan),
      'loss': losses.mean(losses.each(view.problem.loss, tangent, y)),
      'accuracy': jnp.mean(losses.correct(tangent, y).astype(jnp.float32)),
    }

  return stateless(read)
