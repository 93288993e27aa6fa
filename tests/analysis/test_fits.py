import numpy as np
import pytest
from scipy import stats

from analysis.fits import broken_power_law, decay_rate, exponential, growth, line, power_law


def test_a_line_is_scipys_for_every_row():
  rng = np.random.default_rng(5)
  x, y = np.sort(rng.uniform(1, 50, 9)), rng.normal(size=(3, 9))
  fit, oracles = line(x, y), [stats.linregress(x, row) for row in y]
  np.testing.assert_allclose(fit.slope, [o.slope for o in oracles], rtol=1e-9)
  np.testing.assert_allclose(fit.intercept, [o.intercept for o in oracles], rtol=1e-9)
  np.testing.assert_allclose(fit.r2, [o.rvalue**2 for o in oracles], rtol=1e-9)
  np.testing.assert_allclose(line(x, 2 - 3 * x)(x), 2 - 3 * x)
  assert line(x, np.ones(9)) == (0, 1, 0)
  assert np.isnan(line(x, np.where(x > 20, np.nan, y[0])).r2)


def test_a_power_law_is_found_as_scipy_finds_a_line_in_the_logarithms():
  rng = np.random.default_rng(2)
  x = np.geomspace(0.1, 100, 9)
  y = 3 * x**-0.7 * np.exp(0.3 * rng.normal(size=9))
  oracle = stats.linregress(np.log(x), np.log(y))
  np.testing.assert_allclose(power_law(x, y), (oracle.slope, oracle.intercept, oracle.rvalue**2), rtol=1e-9)
  np.testing.assert_allclose(power_law(x, 3 * x**2.0), (2, np.log(3), 1))
  assert power_law(x, np.ones(9)).r2 == 0


@pytest.mark.parametrize('lost', [np.inf, np.nan, 0.0, -1.0])
def test_a_value_that_has_no_logarithm_spoils_its_own_curve_alone(lost):
  x = np.array([1.0, 2.0, 4.0])
  curves = np.array([2 * x**0.5, np.where(x > 2, lost, x)])
  np.testing.assert_allclose(power_law(x, curves).slope, [0.5, np.nan])
  np.testing.assert_allclose(exponential(x, np.array([3 * np.exp(-x), np.where(x > 2, lost, x)])).slope, [-1, np.nan])


def test_a_decay_is_fitted_while_it_is_above_its_share():
  t = np.arange(20.0)
  y = -7 * np.exp(-0.3 * t)
  floor = np.where(np.abs(y) < 0.7, -0.7, y)  # a floor at a tenth of the first value does not bend the fit
  assert decay_rate(t, floor, until=0.11) == pytest.approx(0.3)
  assert decay_rate(t, floor, until=0.05) < 0.25


def test_a_broken_power_law_is_the_best_of_all_continuous_ones():
  x = np.geomspace(0.01, 10, 12)
  exact = np.where(x < 0.6, 2 * (x / 0.6) ** 0.1, 2 * (x / 0.6) ** 0.8)
  np.testing.assert_allclose(broken_power_law(x, exact), (0.1, 0.8, 0.6), rtol=0.02)
  noisy = exact * np.exp(0.1 * np.random.default_rng(3).normal(size=12))
  fit = broken_power_law(x, noisy)

  def misfit(below, above, place):  # the best height, by the mean
    shape = np.where(x < place, below, above) * np.log(x / place)
    return np.var(np.log(noisy) - shape)

  best = misfit(*fit)
  rivals = [misfit(a, b, c) for a in np.linspace(-0.3, 0.5, 17) for b in np.linspace(0.4, 1.2, 17) for c in x[2:-2]]
  assert best <= min(rivals) + 1e-9
  np.testing.assert_allclose(np.var(np.log(noisy) - fit.shape(x)), best)
  assert np.isnan(broken_power_law(x, np.where(x > 5, np.nan, exact))).all()


@pytest.mark.parametrize(('law', 'f'), [('log', np.log), ('root', np.sqrt), ('quarter', lambda t: t**0.25)])
def test_the_law_of_growth_that_made_the_data_fits_best(law, f):
  t = np.unique(np.geomspace(10, 2000, 40).round())
  exact = growth(t, 3 + 2 * f(t))
  assert exact[law] == pytest.approx(1)
  assert max(exact, key=exact.get) == law
  assert sorted(exact.values())[1] < 0.99
  noisy = 3 + 2 * f(t) + 0.02 * np.ptp(f(t)) * np.random.default_rng(6).normal(size=(5, len(t)))
  r2 = growth(t, noisy)
  assert r2[law].shape == (5,)
  assert all((r2[law] > rival).all() for name, rival in r2.items() if name != law)
