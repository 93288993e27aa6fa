"""Marchenko-Pastur against scipy and random matrices; learning curves against students that are trained."""

import numpy as np
import pytest
from scipy import integrate, optimize

from dynamics.theory import spectra

RATIOS = (0.25, 1.0, 3.0)


@pytest.mark.parametrize('ratio', RATIOS)
def test_moments_and_the_mass_at_zero(ratio):
  """The moments of the law are polynomials in the ratio; the density gives the same by a general integrator."""
  v = 1.7
  law = spectra.marchenko_pastur(ratio, variance=v)
  assert (law.low, law.high) == pytest.approx((v * (1 - ratio**0.5) ** 2, v * (1 + ratio**0.5) ** 2))
  moments = [1 - law.zero, v, v**2 * (1 + ratio), v**3 * (1 + 3 * ratio + ratio**2)]
  for power, expected in enumerate(moments):
    found, _ = integrate.quad(lambda x, p=power: law.density(x) * x**p, law.low, law.high, limit=200)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_allclose(law.spectrum.values**power @ law.spectrum.weights, expected, rtol=1e-9)
  assert law.zero == max(0, 1 - 1 / ratio)
  assert law.density(law.high + 0.1) == law.density(-1.0) == 0
  if ratio < 1:
    np.testing.assert_allclose(1 / law.spectrum.values @ law.spectrum.weights, 1 / (v * (1 - ratio)), rtol=1e-9)


@pytest.mark.parametrize('ratio', RATIOS)
def test_the_stieltjes_transform_is_the_mean_of_the_resolvent_and_gives_the_density(ratio):
  law = spectra.marchenko_pastur(ratio, variance=0.8)
  for z in (-0.5, 1 + 0.3j, 9.0, 0.7 - 0.2j):
    mean = (1 / (law.spectrum.values - z)) @ law.spectrum.weights - law.zero / z
    np.testing.assert_allclose(law.stieltjes(z), mean, rtol=1e-6)
  inside = np.linspace(law.low, law.high, 7)[1:-1]
  np.testing.assert_allclose(law.stieltjes(inside + 1e-9j).imag / np.pi, law.density(inside), rtol=1e-5)


@pytest.mark.parametrize('ratio', RATIOS)
def test_a_large_random_matrix_has_this_spectrum(ratio):
  rng, d = np.random.default_rng(0), 500
  n = int(d / ratio)
  found = spectra.sampled(rng.normal(size=(n, d)) / n**0.5)
  law = spectra.marchenko_pastur(ratio)
  np.testing.assert_allclose(found.weights.sum(), 1 - law.zero, atol=3 / d)
  for f in (lambda x: np.exp(-x), lambda x: x**2, lambda x: np.cos(3 * x)):
    expected = f(law.spectrum.values) @ law.spectrum.weights
    np.testing.assert_allclose(f(found.values) @ found.weights, expected, atol=0.01 + 0.01 * abs(expected))


@pytest.mark.parametrize('alpha', [0.5, 1.0, 2.0])
def test_learning_curves_against_students_trained_in_small_steps(alpha):
  """Averaged over teachers, starts and noise, with the data held fixed; and large data sets have the limiting curve."""
  rng, d, draws, times = np.random.default_rng(2), 40, 400, np.array([0.0, 1.0, 4.0, 12.0])
  variances = {'teacher': 1.0, 'start': 0.3, 'noise': 0.2}
  n = int(alpha * d)
  x = rng.normal(size=(n, d)) / d**0.5
  teacher, w = rng.normal(size=(d, draws)), 0.3**0.5 * rng.normal(size=(d, draws))
  y, found, lr = x @ teacher + 0.2**0.5 * rng.normal(size=(n, draws)), [], 0.01
  for step in range(1201):
    if step in times / lr:
      found.append(np.sum((w - teacher) ** 2, 0) / d + 0.2)
    w = w - lr * n * x.T @ (x @ w - y) / n  # a mean over examples, so that t = lr steps n has tau = n
  found = np.stack(found)
  expected = spectra.generalisation(n * times, spectra.sampled(x), tau=n, **variances)
  error = found.std(1, ddof=1) / draws**0.5
  assert (error < 0.03 * expected).all()
  np.testing.assert_array_less(abs(found.mean(1) - expected), 4 * error + 0.01 * expected)
  large = spectra.sampled(rng.normal(size=(int(alpha * 600), 600)) / 600**0.5)
  limit = spectra.marchenko_pastur(1 / alpha, variance=alpha).spectrum
  curves = [spectra.generalisation(times, some, **variances) for some in (large, limit)]
  np.testing.assert_allclose(*curves, rtol=0.03)


@pytest.mark.parametrize('alpha', [0.5, 1.0, 2.0])
def test_the_stopping_time_is_the_least_point_of_the_curve(alpha):
  limit = spectra.marchenko_pastur(1 / alpha, variance=alpha).spectrum
  variances = {'teacher': 1.0, 'start': 0.1, 'noise': 0.5, 'tau': 3.0}
  curve = lambda t: spectra.generalisation(t, limit, **variances)
  best = optimize.minimize_scalar(curve, bounds=(0, 100), method='bounded', options={'xatol': 1e-9}).x
  found = spectra.stopping_time(limit, **variances)
  np.testing.assert_allclose(found, best, rtol=1e-5)
  assert curve(np.linspace(0, 100, 2001)).min() >= curve(found)
  assert spectra.stopping_time(limit) == np.inf
  one = spectra.Spectrum(np.array([0.7]), np.array([1.0]))
  np.testing.assert_allclose(spectra.stopping_time(one, noise=0.5), np.log(1 + 0.7 / 0.5) / 0.7, rtol=1e-9)


def test_directions_without_data_keep_their_error_and_take_no_noise():
  found = spectra.generalisation(1e6, spectra.sampled(np.diag([1.0, 2.0, 0.0, 0.0])), teacher=1.0, start=0.4, noise=0.2)
  np.testing.assert_allclose(found, 0.5 * 1.4 + 0.2 * (1 + 0.25) / 4 + 0.2, rtol=1e-9)


def test_a_law_of_no_features_is_an_error():
  with pytest.raises(ValueError, match='positive, not 0'):
    spectra.marchenko_pastur(0.0)
