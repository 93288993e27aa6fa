"""How wide interval bounds of the hidden activations are, where every input may move by a radius."""

import jax
import jax.numpy as jnp

from dynamics.components import component
from dynamics.linalg import intervals
from dynamics.probes.evaluation import array, first, with_features
from dynamics.schema import Range
from dynamics.trees import at_least_float32
from dynamics.types import Probe


@component(needs=('hidden_layers', 'features'))
def interval_bounds(*, examples: Range(int, least=1) = 64, radius: Range(float, above=0.0) = 0.01) -> Probe:
  """Interval bound propagation: the bounds on each activation for all x' with |x' - x| <= `radius` in every input.

  Of the first `examples` training inputs. Bounds are passed layer by layer, which forgets how units move together, so the true
  range is narrower. Through dense layers and convolutions, relu, tanh, sigmoid, erf, |x| and sums, in evaluation mode; other
  networks, such as those with attention or layer normalisation, are refused.

  Reading:
    width (): the mean width of the bounds on outputs.
    width_of/layer (): the mean width in each hidden layer.
    growth (): the factor a layer by which the mean width grows, from the first hidden layer to the last; NaN for a single one.
  Cost: four forward passes on the examples; no state.
  Oracle: a loop over weights in numpy; points of the box lie inside.
  Source: 2103.17268 (interval bound propagation at initialisation).
  """

  def measure(view, state, key):
    x = array(first(view.data.train, examples).x)
    if not jnp.issubdtype(x.dtype, jnp.floating):
      raise ValueError(f'interval_bounds needs inputs of floats, which can move by {radius}, but they are {x.dtype}{x.shape}')
    names = [*with_features(view, view.variables, x)[1]]  # in the order of the layers; its numbers are dead code
    reach = jnp.asarray(radius, x.dtype)

    def forward(x):
      outputs, features = with_features(view, view.variables, x)
      return outputs, [features[name] for name in names]

    try:
      outputs, hidden = intervals.bounds(forward, x - reach, x + reach)
    except NotImplementedError as error:
      raise ValueError(f'the probe interval_bounds needs another network: {error}') from None
    width = lambda interval: jnp.mean(at_least_float32(interval.high) - at_least_float32(interval.low))
    widths = [width(interval) for interval in hidden]
    layers = len(widths) - 1
    growth = (widths[-1] / widths[0]) ** (1 / layers) if layers else jnp.full_like(widths[0], jnp.nan)
    return {'width': width(outputs), 'width_of': dict(zip(names, widths, strict=True)), 'growth': growth}, state

  def init(view):
    jax.eval_shape(lambda: measure(view, (), None)[0])  # which refuses what cannot be passed
    return ()

  return Probe(init, measure)
