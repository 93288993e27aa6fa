"""The numbers behind a drawing, against those that were drawn."""

import json

import numpy as np
import pandas as pd
import pytest

from analysis.statistics import median_and_range
from paper_figures import panels, plots

X, VALUES = np.array([1.0, 2.0, 4.0]), np.array([[1.0, 4.0, 9.0], [3.0, 2.0, 8.0], [2.0, 8.0, 7.0]])  # (seed, x)


@pytest.fixture
def ax():
  return plots.canvas()[1][0, 0]


def read(ax):
  """The only panel, after it was drawn."""
  ax.figure.draw_without_rendering()
  (panel,) = json.loads(panels.text(ax.figure))
  return panel


def test_a_band_and_its_line_have_the_numbers_the_names_and_the_colours_that_were_drawn(ax):
  plots.band(ax, X, VALUES, 'runs', color='#0072B2', linestyle='--')
  ax.set(title='a title', xlabel=r'scale $\alpha$ ($10^{-3}$)', ylabel='loss', xscale='log')
  panel = read(ax)
  band, line = panel['marks']
  assert (panel['title'], panel['x']['label'], panel['x']['scale'], panel['y']['scale']) == (
    'a title',
    'scale \N{GREEK SMALL LETTER ALPHA} (10⁻³)',
    'log',
    'linear',
  )
  assert (band['kind'], band['x'], band['low'], band['high']) == ('band', [1, 2, 4], [1, 2, 7], [3, 8, 9])
  assert (line['kind'], line['label'], line['x'], line['y']) == ('line', 'runs', [1, 2, 4], list(np.median(VALUES, 0)))
  assert band['color'] == line['color'] == '#0072b2'
  assert line['dash']


def test_bars_points_and_lines_across_the_panel_are_read(ax):
  plots.intervals(ax, {'a': VALUES[:, 0], 'b': VALUES[:, 1]}, median_and_range, 'arm')
  plots.level(ax, 5.0, 'bound')
  ax.set_xticks([0, 1], ['first', 'second'])
  panel = read(ax)
  bars, points, level = panel['marks']
  assert (bars['kind'], bars['x'], bars['low'], bars['high']) == ('bars', [0, 1], [1, 2], [3, 8])
  assert (points['kind'], points['y']) == ('points', [2, 4])
  assert (level['x'], level['y']) == (panel['x']['limits'], [5, 5])
  assert panel['x']['ticks'] == [[0, 'first'], [1, 'second']]


def test_gaps_stay_gaps_a_long_curve_keeps_its_ends_and_planes_are_left_out(ax):
  long = np.arange(1001.0)
  ax.plot(long, np.where(long == 1000, np.nan, long))
  (line,) = read(ax)['marks']
  assert len(line['x']) == panels.POINTS
  assert (line['x'][0], line['x'][-1], line['y'][-1]) == (0, 1000, None)
  figure, axes = plots.canvas(2)
  plots.heat(axes[0, 0], pd.DataFrame([[1.0, 2.0]]), str)
  axes[0, 1].plot([1, 2], [1, 2], label='_hidden')
  figure.draw_without_rendering()
  assert [panel['marks'][0]['label'] for panel in panels.panels(figure)] == ['']


@pytest.mark.parametrize(
  ('words', 'plain'),
  [
    ('weight$^2$ / loss', 'weight² / loss'),
    (r'rate of $\ln |R - M|^2$', 'rate of ln |R - M|²'),
    (r'$\sigma_w^2$', '\N{GREEK SMALL LETTER SIGMA}_w²'),
    (r'$F^T F$', 'F^T F'),
    (r'$\lambda_{10}$ and $X_0$', 'λ₁₀ and X₀'),
    ('2 dollars', '2 dollars'),
  ],
)
def test_formulas_of_labels_become_plain_characters(words, plain):
  assert panels.plain(words) == plain
