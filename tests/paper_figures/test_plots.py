"""What a stroke draws, read off its artists."""

import numpy as np
import pandas as pd
import pytest

from paper_figures import plots

X, VALUES = np.array([1.0, 2.0, 4.0]), np.array([[1.0, 4.0, 9.0], [3.0, 2.0, np.inf], [2.0, 8.0, 7.0]])  # (seed, x)


@pytest.fixture
def ax():
  return plots.canvas()[1][0, 0]


def test_a_swept_value_has_the_median_the_range_and_a_gap_where_a_seed_is_not_finite(ax):
  plots.against(ax, X, VALUES, 'runs')
  np.testing.assert_array_equal(ax.lines[0].get_ydata(), [2, 4, np.nan])
  edges = np.concatenate([path.vertices for path in ax.collections[0].get_paths()])
  assert {tuple(v) for v in edges} == {(1, 1), (1, 3), (2, 2), (2, 8)}


def test_steps_stand_at_times_and_step_zero_at_a_half_on_log_axes(ax):
  table = pd.DataFrame({'seed': [1, 1, 2, 2], 'step': [0, 4, 0, 4], 'loss': [1.0, 2.0, 3.0, 6.0]})
  plots.steps(ax, table, 'loss', 'runs', rate=0.5)
  ax.set_xscale('log')
  plots.steps(ax, table, 'loss', 'runs', rate=0.5)
  assert [list(line.get_xdata()) for line in ax.lines] == [[0, 2], [0.25, 2]]
  np.testing.assert_array_equal(ax.lines[0].get_ydata(), [2, 4])
  assert plots.seeds_of([table, table[table['seed'] == 1]]) == '1 to 2 seeds'


def test_a_guide_goes_through_its_point_with_its_slope(ax):
  plots.guide(ax, X, -0.5, (4.0, 3.0), 'slope')
  np.testing.assert_allclose(ax.lines[0].get_ydata(), [6, 3 * 2**0.5, 3])


def test_a_time_that_never_comes_is_a_triangle_at_the_budget(ax):
  plots.never(ax, X, VALUES, 100, None, 'C0')
  assert (list(ax.lines[0].get_xdata()), list(ax.lines[0].get_ydata())) == ([4], [100])


@pytest.mark.parametrize(('axis', 'place'), [('x', (1.0, 2.5)), ('y', (2.5, 1.0))])
def test_an_arm_has_its_place_and_its_error_bar(ax, axis, place):
  summary = lambda samples: (np.mean(samples), np.min(samples), np.max(samples))
  plots.intervals(ax, {'a': np.array([1.0, 4.0])}, summary, 'arm', axis=axis, first=1)
  (bar,) = ax.collections[-1].get_segments()
  assert tuple(ax.lines[0].get_xydata()[0]) == place
  np.testing.assert_allclose(np.ptp(bar, axis=0), (0, 3) if axis == 'x' else (3, 0))


def test_a_log_axis_needs_something_positive(ax):
  plots.level(ax, 3.0, 'bound')
  ax.plot([1, 2], [-1.0, np.nan])
  plots.log_axes(ax)
  assert ax.get_xscale() == 'log'
  ax.figure.draw_without_rendering()
