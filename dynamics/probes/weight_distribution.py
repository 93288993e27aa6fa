"""The shape of the distribution of weights: heavy tails or flat, by the generalised Gaussian that fits."""

import math

import jax
import jax.numpy as jnp

from dynamics import trees
from dynamics.components import component
from dynamics.trees import at_least_float32
from dynamics.types import Array, Probe

LEAST, MOST = 0.1, 10.0  # shapes that are told apart


@component()
def weight_distribution() -> Probe:
  """How the entries w of each weight array are distributed, by moments of w less its mean; `norms` has their sizes.

  W is each array with two or more axes. The density of a generalised Gaussian is proportional to exp(-|w / a|^nu): nu is 2 for
  a normal, 1 for Laplace's law, and large for flat ones. It is the nu at which Gamma(1/nu) Gamma(3/nu) / Gamma(2/nu)^2 is
  E[w^2] / E[|w|]^2, so of n normal weights its standard error is 4.7 / sqrt(n). NaN where all w are alike.

  Reading:
    nu_of/leaf (): the shape, between 0.1 and 10; an end where the moments lie beyond it.
    excess_kurtosis_of/leaf (): E[w^4] / E[w^2]^2 - 3, 0 for a normal.
  Cost: two passes over the parameters; no state.
  Oracle: scipy's root of the same equation in float64, and draws of known nu.
  Source: 2506.00486 (moment estimator).
  """

  def measure(view, state, key):
    reading = {'nu_of': {}, 'excess_kurtosis_of': {}}
    for path, w in _arrays(view).items():
      centred = at_least_float32(w) - jnp.mean(at_least_float32(w))
      square = jnp.mean(jnp.square(centred))
      reading['nu_of'][path] = shape(square / jnp.square(jnp.mean(jnp.abs(centred))))
      reading['excess_kurtosis_of'][path] = jnp.mean(centred**4) / jnp.square(square) - 3
    return reading, state

  def init(view):
    if not _arrays(view):
      shapes = ', '.join(f'{path} {w.shape}' for path, w in trees.by_path(view.variables['params']).items())
      raise ValueError(f'weight_distribution needs a parameter array with two or more axes, but they are {shapes}')
    return ()

  return Probe(init, measure)


def shape(ratio: Array) -> Array:
  """() the nu of a generalised Gaussian whose E[x^2] / E[|x|]^2 is `ratio` (), by bisection between `LEAST` and `MOST`."""
  # With u = 1 / nu and Gamma(1 + z) = z Gamma(z) nothing cancels at small u. The ratio rises with u, from 4/3 on.
  log_ratio = lambda u: jax.lax.lgamma(1 + u) + jax.lax.lgamma(1 + 3 * u) - 2 * jax.lax.lgamma(1 + 2 * u) + math.log(4 / 3)

  def halved(_, ends):
    low, high = ends
    middle = jnp.sqrt(low * high)
    below = log_ratio(middle) < jnp.log(ratio)
    return jnp.where(below, middle, low), jnp.where(below, high, middle)

  low, high = jax.lax.fori_loop(0, 60, halved, (jnp.full_like(ratio, 1 / MOST), jnp.full_like(ratio, 1 / LEAST)))
  return jnp.where(jnp.isnan(ratio), ratio, 1 / jnp.sqrt(low * high))


def _arrays(view) -> dict[str, Array]:
  return {path: w for path, w in trees.by_path(view.variables['params']).items() if w.ndim > 1}
