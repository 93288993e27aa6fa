"""How often an interval holds the truth, measured; docs/verdicts.md prints the table."""

import pathlib

import numpy as np
import pytest

from analysis.claims import MISSES
from analysis.fits import power_law
from analysis.statistics import LEVEL, resample

PAGE = pathlib.Path(__file__).parents[2] / 'docs' / 'verdicts.md'
SEEDS = (5, 8, 10, 20)
TRIES = 1000
SIZES = 2.0 ** np.arange(5)  # of a power law y ~ x^(1/2)

# Distributions of what seeds differ by, of scale one. Their mean is beside them; all have the median 0.
SPREADS = {
  'normal': lambda rng, shape: rng.normal(size=shape),
  "Student's t, 3 degrees": lambda rng, shape: rng.standard_t(3, size=shape),
  'skewed (lognormal, 1/2)': lambda rng, shape: 2 * np.expm1(rng.normal(size=shape) / 2),
}
MEANS = {'normal': 0.0, "Student's t, 3 degrees": 0.0, 'skewed (lognormal, 1/2)': 2 * np.expm1(1 / 8)}


def law(noise):
  """(n, tries, sizes) readings of the power law, each seed with errors of its own."""
  return SIZES**0.5 * np.exp(0.2 * noise)


# Name -> (shape of a seed's noise, statistic along the first axis, its true value by the mean of the noise).
STATISTICS = {
  'median': ((), lambda v: np.median(v, axis=0), lambda mean: 0.0),
  'mean': ((), lambda v: np.mean(v, axis=0), lambda mean: mean),
  'exponent of a power law, of medians': ((5,), lambda v: power_law(SIZES, np.median(law(v), axis=0)).slope, lambda mean: 0.5),
  'ratio of medians': ((2,), lambda v: np.divide(*np.median(np.exp(0.3 * v), axis=0).T), lambda mean: 1.0),
  'ratio of means': ((2,), lambda v: np.divide(*np.mean(10 + v, axis=0).T), lambda mean: 1.0),
  'median of the largest of three': ((3,), lambda v: np.median(v.max(axis=-1), axis=0), None),
  'lower quartile': ((), lambda v: np.quantile(v, 0.25, axis=0), None),
}


def coverage(statistic, spread, n):
  """The share of tries in which the interval of n seeds holds the truth."""
  shape, reduce, truth = STATISTICS[statistic]
  rng = np.random.default_rng(n)
  if truth is None:
    (true,) = np.atleast_1d(reduce(SPREADS[spread](rng, (1_000_000, 1, *shape))))
  else:
    true = truth(MEANS[spread])
  low, high = resample((SPREADS[spread](rng, (n, TRIES, *shape)),), reduce).interval()
  return np.mean((low <= true) & (true <= high))


def right(spread, n, arms=3):
  """The share of tries without a false verdict: all arms have their bound as their median, so both verdicts are false."""
  draws = SPREADS[spread](np.random.default_rng(n), (n, TRIES, arms))
  resampled = resample((draws,), lambda v: np.median(v, axis=0).ravel())
  low, _ = resampled.interval()
  _, highest = resampled.interval(1 - (1 - LEVEL) / arms)
  holds, fails = (low.reshape(-1, arms) >= 0).all(axis=1), (highest.reshape(-1, arms) < 0).any(axis=1)
  return 1 - np.mean(holds | fails)


def rows():
  """Statistic, spread -> coverage by number of seeds."""
  measured = {(name, spread): [coverage(name, spread, n) for n in SEEDS] for name in STATISTICS for spread in SPREADS}
  return measured | {('three arms by median, no false verdict', spread): [right(spread, n) for n in SEEDS] for spread in SPREADS}


def table(measured):
  head = f'| statistic | seeds differ by | {" | ".join(f"n = {n}" for n in SEEDS)} |\n|---|---|{"---|" * len(SEEDS)}\n'
  return head + '\n'.join(f'| {" | ".join([*key, *(f"{share:.3f}" for share in shares)])} |' for key, shares in measured.items())


@pytest.mark.slow
def test_intervals_hold_the_truth_as_often_as_the_page_says_and_in_nine_of_ten_where_a_verdict_is_given():
  measured = rows()
  page = {
    tuple(cells[:2]): cells[2:] for cells in (line[2:-2].split(' | ') for line in PAGE.read_text().splitlines() if ' | ' in line)
  }
  for key, shares in measured.items():
    np.testing.assert_allclose([float(x) for x in page[key]], shares, atol=0.02, err_msg=table(measured))
    # The page says that these decide no claim: quantiles of fewer than ten seeds, means of fewer than eight skewed ones.
    least = {'lower quartile': 10, 'mean': 8}.get(key[0], 5)
    assert min(share for n, share in zip(SEEDS, shares, strict=True) if n >= least) >= 1 - MISSES, key
