"""Exponents of sizes: synthetic power laws, and scipy as the oracle of slope and error."""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.scaling import Scaling, check, points, scaling

WIDTHS = np.array([64.0, 128.0, 256.0, 512.0, 1024.0])
rng = np.random.default_rng(7)


def law(power, noise=0.05, seeds=6, x=WIDTHS):
  return 3 * x**power * np.exp(noise * rng.normal(size=(seeds, len(x))))


def test_slope_and_error_are_those_of_scipy_seed_by_seed():
  values = law(0.3, noise=0.4)
  slopes = [stats.linregress(np.log(WIDTHS), np.log(row)).slope for row in values]
  low, high = stats.t.interval(0.95, 5, np.mean(slopes), stats.sem(slopes))
  fit = scaling({'width': WIDTHS}, values)['width']
  np.testing.assert_allclose(fit[:4], (np.mean(slopes), stats.sem(slopes), low, high), rtol=1e-9)
  assert fit.seeds == 6


@pytest.mark.parametrize(
  ('power', 'noise', 'verdict'),
  [(0, 0.1, 'stays'), (0.1, 0.02, 'stays'), (0.5, 0.1, 'explodes'), (1, 0.1, 'explodes'), (-0.5, 0.1, 'vanishes'),
   (0.25, 0.3, 'undecided'), (-0.25, 0.3, 'undecided'), (0, 3.0, 'undecided')],
)  # fmt: skip
def test_verdicts_of_power_laws(power, noise, verdict):
  values = law(power, noise)
  values *= WIDTHS[None] ** (power - scaling({'w': WIDTHS}, values)['w'].slope)  # the slope of the sample is the law's
  assert scaling({'w': WIDTHS}, values)['w'].verdict == verdict


def test_the_band_decides_what_counts_as_none():
  values = law(0.15, noise=0.01)
  assert [scaling({'w': WIDTHS}, values, band)['w'].verdict for band in (0.1, 0.2)] == ['explodes', 'stays']


@pytest.mark.parametrize(('bad', 'verdict'), [(np.nan, 'diverged'), (np.inf, 'diverged'), (0.0, 'zero')])
def test_a_reading_without_a_logarithm_has_a_verdict_of_its_own(bad, verdict):
  values = law(0)
  values[2, 3] = bad
  fit = scaling({'w': WIDTHS}, values)['w']
  assert fit.verdict == verdict
  assert np.isnan(fit.slope)


def test_a_single_seed_is_undecided():
  assert scaling({'w': WIDTHS}, law(1, seeds=1))['w'].verdict == 'undecided'


def test_sizes_must_vary_and_fit_the_values():
  with pytest.raises(ValueError, match='w, l cannot be told apart'):
    scaling({'w': WIDTHS, 'l': WIDTHS**2}, law(0))
  with pytest.raises(ValueError, match=r'values \(6, 5\) \(seed, point\) need sizes \(5,\)'):
    scaling({'w': WIDTHS[1:]}, law(0))


def tidy(**sizes):
  """A table of two steps with a reading width^1/2 depth^-1 at step 4, and one that is 0 there; rows in no order."""
  rows = [
    {**dict(zip(sizes, at, strict=True)), 'seed': seed, 'step': step}
    for *at, seed, step in itertools.product(*sizes.values(), range(5), (0, 4))
  ]
  table = pd.DataFrame(rows).sample(frac=1, random_state=3)
  table['still'] = 0.0
  return table


def test_width_and_depth_are_told_apart_in_a_table():
  table = tidy(**{'model.width': (16, 64, 1024), 'model.depth': (2, 8, 32)})
  table['size'] = np.where(table['step'] == 4, table['model.width'] ** 0.5 / table['model.depth'], 1.0)
  table['size'] *= np.exp(0.01 * rng.normal(size=len(table)))
  fits = check(table, ('model.width', 'model.depth'), ('size', 'still'), step=4)
  assert fits['size', 'model.width'].slope == pytest.approx(0.5, abs=0.01)
  assert fits['size', 'model.depth'].slope == pytest.approx(-1, abs=0.01)
  assert [fit.verdict for fit in fits.values()] == ['explodes', 'vanishes', 'zero', 'zero']
  assert all(fit.verdict == 'stays' for fit in check(table, ('model.width', 'model.depth'), ('size',), step=0).values())


def test_tuples_of_equal_widths_are_one_size_and_rise_as_numbers_do():
  table = tidy(**{'model.widths': ('(64, 64)', '(128, 128)', '(1024, 1024)')})
  table['size'] = table['model.widths'].map(lambda text: int(text[1:].split(',')[0]) ** 1.0)
  sizes, values = points(table, ('model.widths',), 'size', step=4)
  assert list(sizes['model.widths']) == [64, 128, 1024]
  np.testing.assert_array_equal(values, np.tile(sizes['model.widths'], (5, 1)))
  assert isinstance(check(table, ('model.widths',), ('size',), 4)['size', 'model.widths'], Scaling)
  table['model.widths'] = table['model.widths'].replace('(64, 64)', '(64, 32)')
  with pytest.raises(ValueError, match=r'the widths \(64, 32\) differ'):
    points(table, ('model.widths',), 'size', step=4)
