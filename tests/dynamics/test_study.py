"""Schedules: when a probe is read."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynamics import study


@pytest.mark.parametrize(
  ('times', 'expected'),
  [
    (study.every(3, 10), (0, 3, 6, 9)),
    (study.every(5, 10), (0, 5, 10)),
    (study.log_spaced(3, 100), (0, 1, 10, 100)),
    (study.log_spaced(5, 4), (0, 1, 2, 3, 4)),
    (study.log_spaced(0, 5), (0,)),
    (study.log_spaced(5, 0), (0,)),
    (study.linear(4, 100), (0, 25, 50, 75, 100)),
    (study.linear(0, 100), ()),
    (study.log_then_linear(3, 100, 50, 220), (0, 1, 10, 100, 150, 200)),
    (study.at_end(7), (7,)),
    (study.union((1, 5), (0, 5)), (0, 1, 5)),
    (study.times(100, log_points=3, linear_points=2, stride=40), (0, 1, 10, 40, 50, 80, 100)),
    (study.times(100, log_points=0, end=False), ()),
    (study.times(100, log_points=0), (100,)),
  ],
)
def test_schedules(times, expected):
  assert times == expected


@settings(deadline=None, max_examples=60)
@given(st.integers(2, 60), st.integers(1, 10**6))
def test_log_spaced_times_are_increasing_few_and_reach_the_end(points, steps):
  times = study.log_spaced(points, steps)
  assert times == tuple(sorted(set(times)))
  assert (times[0], times[-1]) == (0, steps)
  assert len(times) <= points + 1


def test_every_needs_a_stride():
  with pytest.raises(ValueError, match='n is 0'):
    study.every(0, 10)


def test_due_sorts_by_time_and_then_as_the_schedule_stands():
  assert study.due({'b': (0, 4), 'a': (4, 10)}, 10) == {0: ['b'], 4: ['b', 'a'], 10: ['a']}
  assert study.due({}, 10) == {}


@pytest.mark.parametrize(
  ('schedule', 'sentence'), [({'a': (11,)}, 'schedule of a asks for step 11, outside of 0..10'), ({'a': (-1,)}, 'step -1')]
)
def test_a_schedule_that_cannot_be_met_is_refused(schedule, sentence):
  with pytest.raises(ValueError, match=sentence):
    study.due(schedule, 10)


def test_a_schedule_of_too_many_readings_is_refused_before_it_is_made():
  with pytest.raises(ValueError, match=r'a schedule of 1,000,000,025 readings is more than 1,000,000'):
    study.times(10**9, stride=1)
