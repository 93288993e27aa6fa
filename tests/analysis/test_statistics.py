import numpy as np
import pytest
from scipy import stats

from analysis.statistics import (
  band,
  broken_power_law,
  crossing,
  errors_apart,
  estimate,
  exponent,
  first_time,
  growth,
  halves,
  line,
  power_law,
  rank_correlation,
  times_later,
  without_each,
)


def test_the_interval_of_a_median_covers_it_about_as_often_as_it_says():
  rng = np.random.default_rng(1)
  hits = [found.low <= 0 <= found.high for found in (estimate(rng.normal(size=25)) for _ in range(30))]
  assert 0.85 < np.mean(hits) <= 1.0


@pytest.mark.parametrize(
  ('values', 'expected'),
  [([1.0, 1.0, 1.0, 1.0], (1.0, 1.0, 1.0, 4)), ([1.0, 3.0], (2.0, 1.0, 3.0, 2)), ([5.0], (5.0, 5.0, 5.0, 1))],
)
def test_few_or_equal_values_give_their_range(values, expected):
  assert estimate(np.array(values)) == expected


def test_a_nan_or_nothing_at_all_is_nan():
  assert np.isnan(estimate(np.array([1.0, np.nan, 2.0])).value)
  assert np.isnan(estimate(np.array([])).value)


def test_band_is_median_and_range_and_shows_a_lost_member():
  middle, low, high = band(np.array([[1.0, 2.0], [3.0, 4.0], [8.0, np.nan]]))
  assert (middle[0], low[0], high[0]) == (3.0, 1.0, 8.0)
  assert np.isnan([middle[1], low[1], high[1]]).all()


@pytest.mark.parametrize(
  ('values', 'expected'),
  [
    ([0.0, 0.5, 0.9], 2.0),
    ([0.0, 0.1, 0.2], np.inf),
    ([0.0, np.nan, 0.9], np.nan),
    ([0.0, 0.9, np.nan], 2.0),
    ([0.5, np.nan, np.nan], 1.0),
  ],
)
def test_first_time_is_a_step_never_or_unknown(values, expected):
  np.testing.assert_equal(first_time(np.array([1, 2, 4]), np.array(values), 0.5), expected)


def test_never_is_later_than_any_time_and_not_later_than_never():
  np.testing.assert_array_equal(times_later([4.0, np.inf, np.inf, 2.0], [2.0, 5.0, np.inf, np.inf]), [2.0, np.inf, 1.0, 0.0])


def test_an_exponent_is_numpys_slope_in_logarithms():
  x, rng = np.array([8.0, 16.0, 64.0, 100.0]), np.random.default_rng(0)
  y = rng.uniform(1, 2, (3, 4))
  np.testing.assert_allclose(exponent(x, y), np.polyfit(np.log(x), np.log(y).T, 1)[0])
  np.testing.assert_allclose(exponent(x, 7 * x**-0.5), -0.5)
  np.testing.assert_array_equal(np.isnan(exponent(x, [y[0], [1.0, 0.0, 1.0, 1.0]])), [False, True])


def test_rank_correlation_sees_order_alone():
  x = np.array([3.0, 1.0, 2.0, 7.0])
  assert rank_correlation(x, np.exp(x)) == pytest.approx(1)
  assert rank_correlation(x, -(x**3)) == pytest.approx(-1)
  assert rank_correlation([1, 2, 3, 4], [1, 3, 2, 4]) == pytest.approx(1 - 6 * 2 / (4 * 15))


def test_without_each_leaves_one_row_out():
  values = np.random.default_rng(0).normal(size=(5, 3))
  np.testing.assert_allclose(without_each(values), [np.delete(values, i, axis=0).mean(axis=0) for i in range(5)])
  assert np.isnan(without_each([1.0, np.nan, 2.0])).sum() == 3  # a lost member is told, whatever is left out


def test_the_mean_of_errors_apart_is_welchs_t():
  one, two = np.random.default_rng(1).normal([[1.0], [0.0]], [[2.0], [0.5]], (2, 9))
  assert errors_apart(one, two).mean() == pytest.approx(stats.ttest_ind(one, two, equal_var=False).statistic)


def test_a_power_law_is_found_as_scipy_finds_a_line_in_the_logarithms():
  rng = np.random.default_rng(2)
  x = np.geomspace(0.1, 100, 9)
  y = 3 * x**-0.7 * np.exp(0.3 * rng.normal(size=9))
  found = stats.linregress(np.log(x), np.log(y))
  np.testing.assert_allclose(power_law(x, y), (found.slope, found.rvalue**2), rtol=1e-9)
  np.testing.assert_allclose(power_law(x, 3 * x**2.0), (2, 1))
  assert power_law(x, np.ones(9))[1] == 0
  assert np.isnan(power_law(x, np.where(x > 50, np.inf, y))).all()


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
  assert np.isnan(broken_power_law(x, np.where(x > 5, np.nan, exact))).all()


def test_a_crossing_is_exact_on_a_power_law_and_says_never():
  x = np.array([1.0, 2.0, 8.0])
  np.testing.assert_allclose(crossing(x, x**2, 25.0), 5.0)
  assert crossing(x, x**2, 100.0) == np.inf
  assert np.isnan(crossing(x, x**2, 0.5))


def test_halves_vary_as_much_as_the_statistic_of_all_members_errs():
  values = np.random.default_rng(4).normal(size=(400, 2))
  found = halves(values, lambda some: some.mean(axis=0)[0])
  assert found.shape == (400,)
  np.testing.assert_allclose(found.std(), 1 / 20, rtol=0.15)


def test_a_line_is_scipys_for_every_row():
  rng = np.random.default_rng(5)
  x, y = np.sort(rng.uniform(1, 50, 9)), rng.normal(size=(3, 9))
  found = [stats.linregress(x, row) for row in y]
  np.testing.assert_allclose(line(x, y), ([f.slope for f in found], [f.rvalue**2 for f in found]), rtol=1e-9)
  assert line(x, np.ones(9)) == (0, 0)
  assert np.isnan(line(x, np.where(x > 20, np.nan, y[0]))[1])


@pytest.mark.parametrize(('law', 'f'), [('log', np.log), ('root', np.sqrt), ('quarter', lambda t: t**0.25)])
def test_the_law_of_growth_that_made_the_data_fits_best(law, f):
  t = np.unique(np.geomspace(10, 2000, 40).round())
  exact = growth(t, 3 + 2 * f(t))
  assert exact[law] == pytest.approx(1)
  assert max(exact, key=exact.get) == law
  assert sorted(exact.values())[1] < 0.99
  noisy = 3 + 2 * f(t) + 0.02 * np.ptp(f(t)) * np.random.default_rng(6).normal(size=(5, len(t)))
  found = growth(t, noisy)
  assert found[law].shape == (5,)
  assert all((found[law] > rival).all() for name, rival in found.items() if name != law)
