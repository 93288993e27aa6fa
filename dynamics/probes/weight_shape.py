"""The shape of the distribution of weights: how many lie near zero, and how long its tails are."""

import jax.numpy as jnp

from dynamics import trees
from dynamics.components import component
from dynamics.schema import Range
from dynamics.types import Array, Probe, stateless


@component()
def weight_shape(
  *, near: Range(float, above=0.0) = 0.1, reach: Range(float, above=0.0) = 4.0, bins: Range(int, least=1) = 41
) -> Probe:
  """Of each weight array with two or more axes, as the network inside all transforms sees it: w of a reparametrised w(v).

  Its unit is the standard deviation of the array's entries. All readings are NaN where it is 0.

  Reading:
    near_zero_of/leaf (): the share of entries within `near` of zero.
    kurtosis_of/leaf (): the mean of (w - mean w)^4 in that unit, 3 for Gaussian weights.
    largest_of/leaf (): the largest |w| in that unit.
    spread_of/leaf (), a weight: the standard deviation.
    share_of/leaf (bins,): the share of entries in each of `bins` equal bins from -reach to reach; entries beyond are in none.
  Cost: a few passes over the weights, and a search of each in the bins; no state.
  Oracle: numpy in float64.
  Source: 2306.16993 (weights near zero, and large ones).
  """

  def shape(w: Array) -> dict[str, Array]:
    w = trees.at_least_float32(w)
    away = w - jnp.mean(w)
    spread = jnp.sqrt(jnp.mean(jnp.square(away)))
    scaled = w / spread
    number = lambda x: jnp.where(spread > 0, x, jnp.nan).astype(jnp.float32)
    places = jnp.floor((scaled + reach) * (bins / (2 * reach)))
    counts = jnp.sum(places.ravel()[:, None] == jnp.arange(bins, dtype=places.dtype)[None], axis=0)
    return {
      'near_zero': number(jnp.mean((jnp.abs(scaled) < near).astype(jnp.float32))),
      'kurtosis': number(jnp.mean((away / spread) ** 4)),
      'largest': number(jnp.max(jnp.abs(scaled))),
      'spread': spread.astype(jnp.float32),
      'share': number(counts.astype(jnp.float32) / w.size),
    }

  def read(view, key):
    arrays = {path: w for path, w in trees.by_path(view.problem.model.weights(view.variables)).items() if w.ndim > 1}
    if not arrays:
      raise ValueError('weight_shape needs a weight array with two or more axes, but there is none')
    each = {path: shape(w) for path, w in arrays.items()}
    return {f'{name}_of': {path: values[name] for path, values in each.items()} for name in next(iter(each.values()))}

  return stateless(read)
