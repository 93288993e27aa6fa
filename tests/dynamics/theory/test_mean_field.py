"""Mean-field maps against quadrature by scipy, against known phases, and against one wide network."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, optimize

from dynamics.theory import kernels, mean_field

TANH = kernels.quadrature(jnp.tanh)
settle = jax.jit(lambda w, b: mean_field.fixed_point(TANH, w, b, layers=200))
variance = jax.jit(mean_field.variance, static_argnums=0)
correlation = jax.jit(mean_field.correlation, static_argnums=0)
critical = jax.jit(mean_field.critical, static_argnums=0)


def average(f):
  """E[f(z)]."""
  return integrate.quad(lambda z: f(z) * np.exp(-z * z / 2) / (2 * np.pi) ** 0.5, -10, 10, epsabs=1e-12)[0]


@pytest.mark.parametrize(('w', 'b'), [(0.8, 0.1), (2.5, 0.05)])
def test_maps_and_fixed_point_of_tanh_against_scipy(wide, w, b):
  layer = lambda q: w * average(lambda z: np.tanh(q**0.5 * z) ** 2) + b
  np.testing.assert_allclose(variance(TANH, 0.7, w, b), layer(0.7), rtol=1e-9)
  q = optimize.brentq(lambda q: layer(q) - q, 1e-6, 10, xtol=1e-14)
  slope = w * average(lambda z: np.cosh(q**0.5 * z) ** -4)
  growth = (layer(q + 1e-5) - layer(q - 1e-5)) / 2e-5
  out = jax.device_get(settle(w, b))
  np.testing.assert_allclose(out.variance, q, rtol=1e-9)
  np.testing.assert_allclose(out.slope, slope, rtol=1e-9)
  np.testing.assert_allclose(out.variance_depth, -1 / np.log(growth), rtol=1e-5)
  # The slope of the correlation map at 1 is its slope by finite differences, and decides the phase.
  c = 1 - 1e-6
  ends = [correlation(TANH, at, q, w, b) for at in (c, 1.0)]
  np.testing.assert_allclose(ends[1], 1, rtol=1e-9)
  np.testing.assert_allclose((ends[1] - ends[0]) / 1e-6, slope, rtol=1e-4)
  if slope < 1:
    np.testing.assert_allclose(out.correlation, 1, rtol=1e-9)
    np.testing.assert_allclose(out.correlation_depth, -1 / np.log(slope), rtol=1e-6)
  else:
    np.testing.assert_allclose(correlation(TANH, out.correlation, q, w, b), out.correlation, rtol=1e-9)
    assert 0 < out.correlation < 0.99
    low, high = (correlation(TANH, out.correlation + h, q, w, b) for h in (-1e-5, 1e-5))
    np.testing.assert_allclose(out.correlation_depth, -1 / np.log((high - low) / 2e-5), rtol=1e-5)


def test_relu_has_a_linear_variance_map_and_is_critical_at_2(wide):
  q = np.asarray([0.3, 1.0, 5.0])
  np.testing.assert_allclose(variance(kernels.relu, q, np.full(3, 1.4), np.full(3, 0.2)), 0.7 * q + 0.2)
  np.testing.assert_allclose(critical(kernels.relu, q), [[2.0] * 3, [0.0] * 3], atol=1e-12)
  w = np.asarray([1.0, 1.6, 2.5])
  out = jax.device_get(jax.jit(lambda w, b: mean_field.fixed_point(kernels.relu, w, b, layers=300))(w, np.full(3, 0.3)))
  np.testing.assert_allclose(out.slope, w / 2)
  np.testing.assert_allclose(out.variance[:2], 0.3 / (1 - w[:2] / 2))
  np.testing.assert_allclose(out.variance_depth[:2], -1 / np.log(w[:2] / 2))
  assert out.variance[2] > 1e20


def test_the_critical_line_is_where_the_slope_is_1(wide):
  w, b = jax.device_get(critical(TANH, np.asarray([1e-6, 0.1, 0.8])))
  np.testing.assert_allclose([w[0], b[0]], [1, 0], atol=1e-5)
  assert (np.diff(b) > 0).all()
  out = settle(w[1:], b[1:])
  np.testing.assert_allclose(out.variance, [0.1, 0.8], rtol=1e-6)
  np.testing.assert_allclose(out.slope, 1, rtol=1e-6)
  for change, ordered in ((0.9, True), (1.1, False)):
    assert ((settle(change * w[1:], b[1:]).slope < 1) == ordered).all()


@pytest.mark.parametrize(('function', 'dual'), [(np.tanh, TANH), (lambda x: np.maximum(x, 0), kernels.relu)])
def test_a_wide_random_network_follows_the_maps(function, dual):
  rng, width, w, b = np.random.default_rng(1), 2000, 1.7, 0.2
  h = np.stack([np.ones(width), np.where(np.arange(width) < width // 4, -1, 1)])  # variance 1, correlation 1/2
  maps = jax.jit(lambda q, c: (dual(q, q, jnp.ones_like(q))[0], dual(q, q, c)[0]))
  q, covariance = jnp.float32(w + b), jnp.float32(w / 2 + b)
  for layer in range(4):
    h = h @ rng.normal(size=(width, width)) * (w / width) ** 0.5 + b**0.5 * rng.normal(size=width)
    np.testing.assert_allclose(np.mean(h**2, 1), q, rtol=0.12, err_msg=f'layer {layer}')
    np.testing.assert_allclose(np.mean(h[0] * h[1]) / np.mean(h**2), covariance / q, atol=0.06)
    h = function(h)
    second, product = maps(q, covariance / q)
    q, covariance = w * second + b, w * product + b
