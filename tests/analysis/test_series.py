"""Readings out of one small table whose every value is known: reading = 100 width + 10 seed + step."""

import numpy as np
import pandas as pd
import pytest

from analysis import series

WIDTHS, SEEDS, STEPS = ((8,), (8, 8)), (4, 3), (0, 2, 5)


@pytest.fixture(scope='module')
def table():
  rows = [
    {'cell': str(w), 'member': m, 'seed': seed, 'model.widths': str(w), 'lr': 0.1 * len(w), 'step': step,
     'loss': 100 * len(w) + 10 * seed + step, 'modes/0': step, 'modes/10': seed, 'modes/2': 0.5, 'modes_se/0': -1}
    for w in WIDTHS for m, seed in enumerate(SEEDS) for step in STEPS
  ]  # fmt: skip
  return pd.DataFrame(rows).sample(frac=1, random_state=0)


def test_a_selection_takes_tuples_and_names_what_is_there(table):
  assert len(series.select(table, model__widths=(8, 8), seed=4)) == 3
  with pytest.raises(LookupError, match=r'no row has model\.widths = \(9,\)'):
    series.select(table, model__widths=(9,))
  where = series.setting(('model.widths', 'hyper.lr'), ((8,), 0.1))
  assert series.arms(table, {'narrow': where})['narrow'].equals(series.select(table, model__widths=(8,), lr=0.1))


def test_values_come_in_order_of_seeds_and_steps(table):
  rows = series.by(table, 'model.widths')[8, 8]
  steps, values = series.each_seed(rows, 'loss')
  np.testing.assert_array_equal(steps, STEPS)
  np.testing.assert_array_equal(values, [[230, 232, 235], [240, 242, 245]])
  np.testing.assert_array_equal(series.last(rows, 'loss'), [235, 245])
  np.testing.assert_array_equal(series.at(rows, 'loss', 2), [232, 242])
  np.testing.assert_array_equal(series.lowest(rows, 'loss'), [230, 240])
  np.testing.assert_array_equal(series.highest(rows, 'loss'), [235, 245])
  np.testing.assert_array_equal(series.reached(rows, 'loss', 235), [5, 0])
  with pytest.raises(ValueError, match='select one setting first'):
    series.each_seed(table, 'loss')


def test_a_swept_field_gives_a_column_a_value(table):
  assert list(series.by(table, 'model.widths')) == [(8,), (8, 8)]
  rates, values = series.against(table, 'lr', 'loss')
  np.testing.assert_array_equal(rates, [0.1, 0.2])
  np.testing.assert_array_equal(values, [[135, 235], [145, 245]])
  _, lowest = series.against(table, 'lr', 'loss', series.lowest)
  np.testing.assert_array_equal(lowest, [[130, 230], [140, 240]])
  (axis,), steps, cube = series.grid(table, ('lr',), 'loss')
  np.testing.assert_array_equal(axis, rates)
  np.testing.assert_array_equal(steps, STEPS)
  np.testing.assert_array_equal(cube[1, 0], [230, 232, 235])


def test_an_array_reading_comes_back_in_the_order_of_its_numbers(table):
  steps, values = series.each_seed(series.select(table, lr=0.1), 'modes')
  np.testing.assert_array_equal(steps, STEPS)
  assert values.shape == (2, 3, 3)  # seed, step, entry
  np.testing.assert_array_equal(values[1, 2], [5, 0.5, 4])
  np.testing.assert_array_equal(series.at(series.select(table, lr=0.1), 'modes', 2), [[2, 0.5, 3], [2, 0.5, 4]])
  with pytest.raises(ValueError, match='select one setting first'):
    series.each_seed(table, 'modes')
  with pytest.raises(LookupError, match=r"no reading 'mode'; there are: .*, loss"):
    series.each_seed(table, 'mode')


def test_every_member_ends_at_the_end_of_its_own_run(table):
  shorter = table[(table['lr'] < 0.15) | (table['step'] < 5)]
  assert series.ends(shorter).groupby('lr')['step'].unique().map(list).tolist() == [[5], [2]]


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
  np.testing.assert_equal(series.first_time(np.array([1, 2, 4]), np.array(values), 0.5), expected)


def test_a_crossing_is_exact_on_a_line_and_says_never():
  x, y = np.array([1.0, 2.0, 8.0]), np.array([3.0, 5.0, 17.0])
  assert series.crossing(x, y, 11.0) == pytest.approx(5.0)
  assert np.exp(series.crossing(np.log(x), np.log(x**2), np.log(25.0))) == pytest.approx(5.0)
  assert series.crossing(x, y, 20.0) == np.inf
  assert np.isnan(series.crossing(x, y, 2.0))
  assert series.crossing(x, y, 2.0, start=1.0) == 1.0
