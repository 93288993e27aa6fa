"""How a signal passes through the layers: sizes, correlations and shapes of hidden values, and of the gradients there."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from dynamics.components import component
from dynamics.linalg.hidden import hidden
from dynamics.probes.evaluation import example_loss, first, mean
from dynamics.schema import Range
from dynamics.trees import at_least_float32
from dynamics.types import Array, Probe, Reading, View


@component(needs=('hidden_layers',))
def activations(*, examples: Range(int, least=2) = 64) -> Probe:
  """The sizes of hidden activations h and of gradients there, on the first `examples` (n) training inputs, layer by layer.

  Layers are those that the model shows. delta is the gradient of an example's loss with respect to its h, by way of all that
  reads h; it is NaN where no output depends on what is shown, as of a copy. Positions and units of an example are taken together,
  and errors are over examples. For dead units see `activity`.

  Reading:
    mean_square_of/layer, mean_square_se_of/layer (), an activation squared: the mean of h^2, and its standard error.
    correlation_of/layer (): the mean cosine of two examples' h; NaN where one is all zero.
    gradient_mean_square_of/layer, gradient_mean_square_se_of/layer (), (a loss over an activation) squared: of delta.
  Cost: one forward and one backward pass on n examples; no state.
  Oracle: numpy in float64 pair by pair, and gradients by the chain rule and by central differences.
  Source: 1606.05340 (lengths and correlations), 1611.01232 (gradients).
  """

  def check(names):
    if not names:
      raise ValueError(
        "the model shows no hidden features, which this probe reads; give it a hidden layer, or self.sow('intermediates', ...)"
      )

  return _of_places('activation', examples, check, _sizes)


@component()
def preactivations(*, examples: Range(int, least=2) = 64) -> Probe:
  """What each weight puts out, with its bias, and gradients there, on the first `examples` (n) training inputs.

  z = a w + b is read at every product of a weight and a value that depends on the input, and is named after the weight: of
  several arrays in one weight after the largest, and as 'w@2' where w is used again. delta is the gradient of an example's loss
  with respect to its z. Positions and units of an example are taken together, and errors are over examples. Lookups of rows, and
  products inside of loops, as in recurrent and stacked layers, are left out.

  Skewness, excess kurtosis and distance pool all examples, positions and units, so they tell of the draw of the weights as much
  as of the examples. They are NaN where all z are alike.

  Reading:
    mean_square_of/leaf, mean_square_se_of/leaf (), an activation squared: the mean of z^2, and its standard error.
    correlation_of/leaf (): the mean cosine of two examples' z; NaN where one is all zero.
    gradient_mean_square_of/leaf, gradient_mean_square_se_of/leaf (), (a loss over an activation) squared: of delta.
    dead_of/leaf (): the share of units with z <= 0 for all examples and positions, which a relu behind them keeps at zero.
    skewness_of/leaf (): the third central moment over the cubed standard deviation, 0 for a normal.
    excess_kurtosis_of/leaf (): the fourth central moment over the squared variance, less 3, 0 for a normal.
    kolmogorov_of/leaf (): the largest distance of the distribution function of z from that of the normal with its moments.
  Cost: one forward and one backward pass on n examples, and a sort of each layer's z; no state.
  Oracle: numpy and scipy.stats in float64 on networks written out, and gradients by the chain rule and by central differences.
  Source: 1611.01232 (gradients), 1804.11271 (preactivations that become Gaussian).
  """

  def check(names):
    if not names:
      raise ValueError('preactivations needs a weight that is multiplied with values that depend on the input, outside of loops')

  return _of_places('preactivation', examples, check, lambda z, delta: {**_sizes(z, delta), 'dead': _dead(z), **_shape(z)})


def _of_places(kind: str, examples: int, check: Callable, statistics: Callable[[Array, Array], dict[str, Array]]) -> Probe:
  """`statistics` of hidden values and of gradients there, both (n, positions, units). `check` refuses names at the start."""

  def measure(view: View, state, key):
    batch = first(view.data.train, examples, 2)
    network, loss = hidden(view.problem.model, view.variables, batch.x), example_loss(view, batch)
    places = {name: place for name, place in network.places.items() if name[0] == kind}
    check(places)

    def single(shifts, x, y):
      outputs, values = network.forward(view.variables, x, shifts)
      return loss(outputs, y[None])[0], {name: values[name] for name in places}

    zeros = {name: jnp.zeros(place.output.shape, place.output.dtype) for name, place in places.items()}
    deltas, values = jax.vmap(jax.grad(single, has_aux=True), in_axes=(None, 0, 0))(zeros, batch.x, batch.y)
    reading: Reading = {}
    for name, place in places.items():
      delta = at_least_float32(jax.vmap(place.rows)(deltas[name]))
      delta = delta if place.reaches else jnp.full_like(delta, jnp.nan)
      for statistic, value in statistics(at_least_float32(values[name]), delta).items():
        reading.setdefault(f'{statistic}_of', {})[name[1]] = value
    return reading, state

  def init(view):
    jax.eval_shape(lambda: measure(view, (), None)[0])
    return ()

  return Probe(init, measure)


# ---- statistics of (n, positions, units) --------------------------------------------------------------------------------


def _sizes(h: Array, delta: Array) -> dict[str, Array]:
  n, flat = h.shape[0], h.reshape(h.shape[0], -1)
  unit = flat / jnp.linalg.norm(flat, axis=1, keepdims=True)
  statistics = {'correlation': (jnp.sum(jnp.square(jnp.sum(unit, axis=0))) - n) / (n * (n - 1))}
  for name, values in {'mean_square': h, 'gradient_mean_square': delta}.items():
    squares = jnp.mean(jnp.square(values), axis=(1, 2))
    statistics[name], statistics[f'{name}_se'] = mean(squares, jnp.ones_like(squares))
  return statistics


def _dead(z: Array) -> Array:
  share = jnp.mean(jnp.all(z <= 0, axis=(0, 1)).astype(jnp.float32))
  return jnp.where(jnp.any(jnp.isnan(z)), jnp.nan, share)


def _shape(z: Array) -> dict[str, Array]:
  centred = z.reshape(-1) - jnp.mean(z)
  unit = jnp.sort(centred / jnp.sqrt(jnp.mean(jnp.square(centred))))
  below = jnp.arange(unit.size + 1, dtype=unit.dtype) / unit.size  # the share of z below each of them, and up to it
  normal = jax.scipy.stats.norm.cdf(unit)
  return {
    'skewness': jnp.mean(unit**3),
    'excess_kurtosis': jnp.mean(unit**4) - 3,
    'kolmogorov': jnp.max(jnp.maximum(below[1:] - normal, normal - below[:-1])),
  }
