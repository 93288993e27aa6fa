"""Readings as tables and as labelled arrays: the same numbers, each with its member, step and labels."""

import ml_dtypes
import numpy as np
import pytest

from dynamics import frames

STEPS = (0, 5, 7)
WIDTHS = {'model.widths': (4, 2), 'loss.name': 'hinge'}


def reading(step):
  """Of three members: a number, an array of two axes in half precision, an empty one and a nest."""
  member = np.arange(3)
  return {
    'loss': np.array([step, np.nan, step + 2.0]),
    'top': (100 * member[:, None, None] + 10 * step + np.arange(6).reshape(2, 3)).astype(np.float16),
    'none': np.zeros((3, 0)),
    'of/a/0': member + step,
    'of/b/1': member - step,
  }


@pytest.fixture
def log():
  made = frames.Log(frames.settings((7, 8, 7), {'lr': (0.1, 0.1, 0.2), 'decay': 0.5}, WIDTHS), {}, {})
  for step in STEPS:
    made.note('probe', step, reading(step))
  return made


def test_a_table_has_a_row_a_member_and_step_with_its_labels(log):
  table = log.tables()['probe']
  labels = ['member', 'seed', 'lr', 'decay', 'model.widths', 'loss.name', 'step', 'finite']
  assert list(table) == [*labels, 'loss', *(f'top/{i}' for i in range(6)), 'of/a/0', 'of/b/1']
  assert len(table) == 9
  for _, row in table.iterrows():
    m, t = row['member'], row['step']
    assert (row['seed'], row['lr'], row['decay']) == ((7, 8, 7)[m], (0.1, 0.1, 0.2)[m], 0.5)
    assert row['model.widths'] == (4, 2)
    assert row['finite'] == (m != 1)
    np.testing.assert_array_equal(row['loss'], reading(t)['loss'][m])
    np.testing.assert_array_equal([row[f'top/{i}'] for i in range(6)], reading(t)['top'][m].ravel())


def test_arrays_have_the_axes_of_the_readings(log):
  arrays = log.arrays()['probe']
  assert dict(arrays['top'].sizes) == {'member': 3, 'step': 3, 'top_0': 2, 'top_1': 3}
  assert arrays['none'].shape == (3, 3, 0)
  assert arrays['loss'].dims == arrays['of/a/0'].dims == ('member', 'step')
  for t in STEPS:
    for name, values in reading(t).items():
      np.testing.assert_array_equal(arrays[name].sel(step=t), values)
  assert arrays['lr'].sel(member=2) == 0.2
  assert arrays['model.widths'].values.tolist() == [(4, 2)] * 3
  np.testing.assert_array_equal(arrays['loss'][arrays['seed'] == 7].sel(step=5), [5, 7])


def test_without_shapes_an_array_has_one_axis_and_names_that_end_in_numbers_stay(log):
  rows = frames.joined(log.rows['probe'])
  shuffled = {name: values[np.random.default_rng(0).permutation(9)] for name, values in rows.items()}
  again = frames.arrays(rows, log.members)
  assert again['top'].dims == ('member', 'step', 'top_0')
  np.testing.assert_array_equal(again['top'], log.arrays()['probe']['top'].values.reshape(3, 3, 6))
  assert again['of/a'].shape == (3, 3, 1)  # an array of one number, for all that its name tells
  assert again['of/b/1'].dims == ('member', 'step')
  np.testing.assert_array_equal(frames.arrays(shuffled, log.members)['loss'], again['loss'])


@pytest.mark.parametrize('name', ['lr', 'seed', 'cell', 'model.widths'])
def test_a_reading_with_the_name_of_a_label_is_refused(log, name):
  with pytest.raises(ValueError, match=f"a reading '{name}', which is the name of a label"):
    log.note('probe', 9, {name: np.zeros(3)})


def test_half_precision_is_stored_as_float32():
  for dtype in (np.float16, ml_dtypes.bfloat16):
    assert frames.entries('x', (2,), np.dtype(dtype)) == {'x/0': np.float32, 'x/1': np.float32}
  assert frames.entries('x', (), np.dtype(np.int8)) == {'x': np.int8}
