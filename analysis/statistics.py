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
  resampled = stats.bootstrap(
    (values,), statistic, confidence_level=LEVEL, n_resamples=RESAMPLES, method='percentile', rng=SEED, vectorized=False
  )
  return Estimate(value, float(resampled.confidence_interval.low), float(resampled.confidence_interval.high), len(values))


def median_and_range(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Median, lowest and highest over seeds, the first axis. A NaN seed makes NaN."""
  values = np.asarray(values, float)
  return np.median(values, axis=0), np.min(values, axis=0), np.max(values, axis=0)


def mean_and_errors(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Mean over seeds, the first axis, and two standard errors below and above it."""
  values = np.asarray(values, float)
  mean, error = values.mean(axis=0), 2 * values.std(axis=0, ddof=1) / len(values) ** 0.5
  return mean, mean - error, mean + error


def groups(values: np.ndarray, size: int) -> np.ndarray:
  """Means of `size` seeds each: (seed, ...) to (seed // size, ...), for a claim about an average of some repetitions."""
  count = len(values) // size
  return values[: count * size].reshape(count, size, *values.shape[1:]).mean(axis=1)


def fold(values: np.ndarray) -> np.ndarray:
  """(seed,) the largest over the smallest along the last axis of (seed, n); NaN where all are inf."""
  values = np.asarray(values, float)
  with np.errstate(invalid='ignore', divide='ignore'):
    return values.max(axis=-1) / values.min(axis=-1)


def halves(values: np.ndarray, statistic: Callable[[np.ndarray], float]) -> np.ndarray:
  """(n,) `statistic` of n random halves of the members of `values` (n, ...).

  For a statistic of many members, such as the fit to a median. A half varies about its mean as much as all members do about
  the truth (the delete-half jackknife), so the spread of these numbers is the error of the statistic; they are not independent.
  """
  rng, values = np.random.default_rng(SEED), np.asarray(values)
  size = max(len(values) // 2, 1)
  return np.array([statistic(values[rng.permutation(len(values))[:size]]) for _ in values])


def times_later(late: np.ndarray, early: np.ndarray) -> np.ndarray:
  """late / early for times that may be inf ('never'): inf where only `late` never came, 1 where neither did."""
  late, early = np.asarray(late, float), np.asarray(early, float)
  with np.errstate(invalid='ignore', divide='ignore'):
    return np.where(np.isinf(late) & np.isinf(early), 1.0, late / early)


def rank_correlation(x: np.ndarray, y: np.ndarray) -> float:
  """Spearman's: 1 where y rises with x throughout; tied values share their rank."""
  return float(stats.spearmanr(x, y).statistic)


def without_each(values: np.ndarray) -> np.ndarray:
  """(n, ...) the mean of all rows but one, for each row (n, ...): how much a mean owes to a single member."""
  values = np.asarray(values, float)
  return (values.sum(axis=0, keepdims=True) - values) / (len(values) - 1)


def errors_apart(a: np.ndarray, b: np.ndarray) -> np.ndarray:
  """(n,) differences of paired samples, in standard errors of the difference of two means: sqrt(s1^2 / n + s2^2 / n)."""
  a, b = np.asarray(a, float), np.asarray(b, float)
  return (a - b) / np.sqrt((np.var(a, ddof=1) + np.var(b, ddof=1)) / len(a))


def wasserstein(a: np.ndarray, b: np.ndarray, weights: np.ndarray) -> float:
  """The Wasserstein-1 distance of equal masses at a (n,) and masses in proportion to `weights` at b (m,). NaN in, NaN out."""
  if not np.isfinite(np.concatenate([a, b, weights])).all():
    return np.nan
  return float(stats.wasserstein_distance(a, b, v_weights=weights))
