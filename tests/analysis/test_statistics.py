import numpy as np
import pytest

from analysis.statistics import band, estimate, first_time, times_later


def test_the_interval_of_a_median_covers_it_about_as_often_as_it_says():
  rng = np.random.default_rng(1)
  hits = [found.low <= 0 <= found.high for found in (estimate(rng.normal(size=25)) for _ in range(100))]
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
