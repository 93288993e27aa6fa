import itertools

import numpy as np
import pytest
from scipy import stats

from analysis.statistics import (
  fold,
  mean_and_errors,
  median_and_quartiles,
  median_and_range,
  rank_correlation,
  resample,
  times_later,
  wasserstein,
)


def test_all_resamples_of_few_seeds_are_those_that_there_are():
  """Against the 3^3 ordered draws; many seeds are drawn at random, always the same."""
  values = np.array([0.0, 1.0, 5.0])
  resampled = resample((values,), np.mean)
  ordered = np.mean(np.array(list(itertools.product(values, repeat=3))), axis=1)
  for mean in np.unique(ordered):
    weight = resampled.weights[np.isclose(resampled.values[:, 0], mean)].sum()
    assert weight == pytest.approx(np.mean(np.isclose(ordered, mean)))
  many = np.random.default_rng(0).normal(size=(9, 2))
  np.testing.assert_array_equal(*(resample((many,), np.median).values for _ in range(2)))


def interval(values, statistic=np.median):
  """(value, low, high) of one number."""
  resampled = resample((np.array(values),), statistic)
  return tuple(np.ravel((resampled.value, *resampled.interval())))


def test_the_interval_of_a_mean_of_many_seeds_is_that_of_students_t():
  values = np.random.default_rng(2).normal(size=40)
  low, high = stats.t.interval(0.95, 39, values.mean(), values.std(ddof=1) / 40**0.5)
  np.testing.assert_allclose(interval(values, np.mean), (values.mean(), low, high), atol=0.1 * (high - low))


@pytest.mark.parametrize(
  ('values', 'expected'),
  [([1.0] * 4, (1, 1, 1)), ([1.0, 3.0], (2, 1, 3)), ([1.0, np.inf, np.inf, 3.0, 4.0], (4, 1, np.inf))],
)
def test_few_values_give_their_range_and_infinity_is_a_value(values, expected):
  assert interval(values) == expected


def test_one_seed_says_nothing_about_others():
  assert interval([5.0]) == (5.0, -np.inf, np.inf)


def test_a_lost_seed_shows_in_median_and_range():
  middle, low, high = median_and_range(np.array([[1.0, 2.0], [3.0, 4.0], [8.0, np.nan]]))
  assert (middle[0], low[0], high[0]) == (3.0, 1.0, 8.0)
  assert np.isnan([middle[1], low[1], high[1]]).all()


def test_never_is_later_than_any_time_and_not_later_than_never():
  np.testing.assert_array_equal(times_later([4.0, np.inf, np.inf, 2.0], [2.0, 5.0, np.inf, np.inf]), [2.0, np.inf, 1.0, 0.0])


def test_rank_correlation_sees_order_alone():
  x = np.array([3.0, 1.0, 2.0, 7.0])
  assert rank_correlation(x, np.exp(x)) == pytest.approx(1)
  assert rank_correlation(x, -(x**3)) == pytest.approx(-1)
  assert rank_correlation([1, 2, 3, 4], [1, 3, 2, 4]) == pytest.approx(1 - 6 * 2 / (4 * 15))


def test_folds():
  values = np.arange(14.0).reshape(7, 2) + 1
  np.testing.assert_array_equal(fold(values), values[:, 1] / values[:, 0])
  np.testing.assert_array_equal(fold([[1.0, np.inf], [np.inf, np.inf]]), [np.inf, np.nan])


def test_a_mean_has_two_standard_errors_on_either_side():
  values = np.random.default_rng(7).normal(size=(9, 2))
  mean, low, high = mean_and_errors(values)
  np.testing.assert_allclose(high - mean, 2 * stats.sem(values))
  np.testing.assert_allclose(mean - low, 2 * stats.sem(values))


def test_half_of_the_values_lie_between_the_quartiles():
  values = np.random.default_rng(8).exponential(size=(101, 2))
  middle, low, high = median_and_quartiles(values)
  np.testing.assert_array_equal(middle, np.median(values, axis=0))
  np.testing.assert_array_equal(((values >= low) & (values <= high)).sum(axis=0), 51)
  assert np.isnan(median_and_quartiles([1.0, np.nan, 2.0])).all()


def test_the_wasserstein_distance_of_shifted_masses_is_the_shift():
  a = np.array([0.0, 1.0, 5.0])
  assert wasserstein(a, a + 2, np.full(3, 7.0)) == pytest.approx(2)
  assert wasserstein(np.zeros(1), np.array([1.0, 3.0]), np.array([3.0, 1.0])) == pytest.approx(1.5)
  assert np.isnan(wasserstein(a, np.array([np.nan]), np.ones(1)))
