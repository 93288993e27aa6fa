"""How large the coordinates of features and outputs are, and how far training has moved them."""

import jax.numpy as jnp

from dynamics.components import component
from dynamics.probes.evaluation import first
from dynamics.schema import Range
from dynamics.trees import at_least_float32
from dynamics.types import Array, Probe, View, stateless


@component()
def coordinates(*, examples: Range(int, least=1) = 64, layers: bool = True) -> Probe:
  """The root mean square of features and outputs on the first `examples` training inputs, and of their change since step 0.

  The mean is over examples, positions and units, in evaluation mode. Readings of features are of the last hidden layer and, with
  `layers`, of every layer; a model that shows none has those of the outputs alone. Against width or depth, at a fixed step, they
  are the coordinate check: `analysis.scaling` says of each whether it vanishes, stays or explodes.

  Reading:
    output (), an output: the root mean square of the outputs.
    output_change (), an output: that of the outputs less those of step 0.
    feature, feature_of/layer (), a feature: the root mean square of the features.
    feature_change, feature_change_of/layer (), a feature: that of the features less those of step 0.
  Cost: two forward passes on `examples` examples; no state.
  Oracle: numpy in float64 on forward passes written out layer by layer.
  Source: 2203.03466, appendix D.1 and figure 5.
  """

  def read(view: View, key):
    x = first(view.data.train, examples).x
    now, start = (_shown(view, variables, x) for variables in (view.variables, view.initial))
    sizes = {name: _root_mean_square(h) for name, h in now.items()}
    changes = {name: _root_mean_square(h - start[name]) for name, h in now.items()}
    reading = {'output': sizes.pop(''), 'output_change': changes.pop('')}
    if sizes:
      last = list(sizes)[-1]
      reading |= {'feature': sizes[last], 'feature_change': changes[last]}
      reading |= {'feature_of': sizes, 'feature_change_of': changes} if layers else {}
    return reading

  return stateless(read)


def _shown(view: View, variables, x) -> dict[str, Array]:
  """The features by their names, and the outputs under ''."""
  outputs, trace = view.problem.model.forward(variables, x)
  return {name: at_least_float32(h) for name, h in {**trace.features, '': outputs}.items()}


def _root_mean_square(h: Array) -> Array:
  return jnp.sqrt(jnp.mean(jnp.square(h)))
