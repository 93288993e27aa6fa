"""The shape of weights against scipy's root of the same equation, and on draws of known shape."""

import operator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize, special, stats

from dynamics import probes

rng = np.random.default_rng(3)
NUS = (0.5, 1.0, 1.5, 2.0, 4.0)


def expected(w):
  """(nu, excess kurtosis) in float64."""
  centred = w - w.mean()
  ratio = np.mean(centred**2) / np.mean(np.abs(centred)) ** 2
  rho = lambda nu: special.gammaln(1 / nu) + special.gammaln(3 / nu) - 2 * special.gammaln(2 / nu)
  return optimize.brentq(lambda nu: rho(nu) - np.log(ratio), 0.1, 10, xtol=1e-12), stats.kurtosis(w, axis=None)


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
def test_the_shape_of_draws_is_that_of_scipy_and_near_the_one_they_were_drawn_with(probing, wide, dtype):
  """Members differ in nu, 100,000 weights each and a mean that is not 0."""
  draws = [stats.gennorm.rvs(nu, size=(250, 400), random_state=rng) + 0.3 for nu in NUS]
  probe = probes.weight_distribution()
  measure = lambda w: probe.measure(probing.view(lambda v, x: x, {'w': w, 'bias': w[0]}), (), None)[0]
  readings = jax.device_get(jax.jit(jax.vmap(measure))(jnp.asarray(np.stack(draws), dtype)))
  assert set(readings['nu_of']) == {'w'}
  for i, nu in enumerate(NUS):
    reading = jax.tree.map(operator.itemgetter(i), readings)
    shape, kurtosis = expected(draws[i])
    rtol = 1e-9 if dtype == 'float64' else 1e-4
    np.testing.assert_allclose(reading['nu_of']['w'], shape, rtol=rtol)
    np.testing.assert_allclose(reading['excess_kurtosis_of']['w'], kurtosis, rtol=rtol, atol=10 * rtol)
    np.testing.assert_allclose(reading['nu_of']['w'], nu, rtol=0.05)


def test_what_no_shape_has_is_an_end_or_nan_and_vectors_are_refused(probing):
  two_values, spike = jnp.asarray([[-1.0, 1.0], [1.0, -1.0]]), jnp.zeros((1000, 1000)).at[0, 0].set(1.0)
  params = {'flat': two_values, 'heavy': spike, 'alike': jnp.ones((2, 2))}
  (out,) = probing.read(probes.weight_distribution(), probing.view(lambda v, x: x, params))
  np.testing.assert_allclose([out['nu_of']['flat'], out['nu_of']['heavy']], [10.0, 0.1], rtol=1e-4)
  assert np.isnan([out['nu_of']['alike'], out['excess_kurtosis_of']['alike']]).all()
  with pytest.raises(ValueError, match=r'needs a parameter array with two or more axes, but they are theta \(3,\)'):
    probes.weight_distribution().init(probing.view(lambda v, x: x, {'theta': jnp.zeros(3)}))
