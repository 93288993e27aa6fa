"""Statistics over members, with their uncertainty."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import stats

LEVEL = 0.95  # of every confidence interval
RESAMPLES = 10_000
SEED = 0  # of the resampling: the same table gives the same interval


class Estimate(NamedTuple):
  """A statistic of n values and its confidence interval."""

  value: float
  low: float
  high: float
  n: int


def estimate(values: np.ndarray, statistic: Callable[..., float] = np.median) -> Estimate:
  """`statistic` of (n,) values with a bootstrap interval (percentile, 95%); NaN in gives NaN out.

  With fewer than three values, or values that are all equal, the interval is their range.
  """
  values = np.asarray(values, float)
  if not np.isfinite(values).all() or not len(values):
    return Estimate(np.nan, np.nan, np.nan, len(values))
  value = float(statistic(values))
  if len(values) < 3 or np.ptp(values) == 0:
    return Estimate(value, float(values.min()), float(values.max()), len(values))
  found = stats.bootstrap(
    (values,), statistic, confidence_level=LEVEL, n_resamples=RESAMPLES, method='percentile', rng=SEED, vectorized=False
  )
  return Estimate(value, float(found.confidence_interval.low), float(found.confidence_interval.high), len(values))


def band(values: np.ndarray, axis: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Median, lowest and highest over members: the line and the error band of a figure. A NaN member makes NaN."""
  values = np.asarray(values, float)
  return np.median(values, axis=axis), np.min(values, axis=axis), np.max(values, axis=axis)


def first_time(steps: np.ndarray, values: np.ndarray, level: float) -> float:
  """The first step at which `values` (t,) reach `level`; inf where they never do; NaN where a value is NaN before."""
  hit = np.flatnonzero(values >= level)
  lost = np.flatnonzero(np.isnan(values))
  if len(lost) and (not len(hit) or lost[0] < hit[0]):
    return float('nan')
  return float(steps[hit[0]]) if len(hit) else float('inf')


def times_later(late: np.ndarray, early: np.ndarray) -> np.ndarray:
  """late / early for times that may be inf ('never'): inf where only `late` never came, 1 where neither did."""
  late, early = np.asarray(late, float), np.asarray(early, float)
  with np.errstate(invalid='ignore', divide='ignore'):
    return np.where(np.isinf(late) & np.isinf(early), 1.0, late / early)
