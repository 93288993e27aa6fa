"""The largest hidden activations."""

import jax
import jax.numpy as jnp

from dynamics.components import component
from dynamics.probes.evaluation import first
from dynamics.schema import Range
from dynamics.trees import at_least_float32
from dynamics.types import Probe


@component(needs=('hidden_layers',))
def extremes(*, examples: Range(int, least=1) = 64) -> Probe:
  """The largest |h| of hidden features h on the first `examples` training inputs, over examples, positions and units.

  Reading:
    largest (), a feature: that of all layers.
    largest_of/layer (), a feature: that of each layer.
    relative_of/layer (): the same over the root mean square of the layer's h; NaN where all are 0.
  Cost: one forward pass on the examples; no state.
  Oracle: numpy in float64 on features written out.
  Source: 2503.17500 (extreme activations).
  """

  def measure(view, state, key):
    features = view.problem.model.forward(view.variables, first(view.data.train, examples).x)[1].features
    if not features:
      raise ValueError(
        "the model shows no hidden features, which this probe reads; give it a hidden layer, or self.sow('intermediates', ...)"
      )
    sizes = {name: jnp.abs(at_least_float32(h)) for name, h in features.items()}
    largest = {name: jnp.max(h) for name, h in sizes.items()}
    relative = {name: largest[name] / jnp.sqrt(jnp.mean(jnp.square(h))) for name, h in sizes.items()}
    return {'largest': jnp.max(jnp.stack(list(largest.values()))), 'largest_of': largest, 'relative_of': relative}, state

  def init(view):
    jax.eval_shape(lambda: measure(view, (), None)[0])
    return ()

  return Probe(init, measure)
