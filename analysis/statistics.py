"""Statistics over seeds, with their uncertainty."""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

LEVEL = 0.95  # of every confidence interval
RESAMPLES = 2_000  # of eight seeds or more; of fewer, all there are
SEED = 0  # of the resampling: the same table gives the same interval


class Estimate(NamedTuple):
  """A statistic of n seeds and its confidence interval."""

  value: float
  low: float
  high: float
  n: int  # 0: exact, no seed had a say


class Resampled(NamedTuple):
  """A statistic of the seeds that there are, and of the same number of seeds drawn from them with replacement."""

  value: np.ndarray  # (k,) k numbers, or one
  values: np.ndarray  # (resamples, k)
  weights: np.ndarray  # (resamples,), of sum 1
  n: int

  def interval(self, level: float = LEVEL) -> tuple[np.ndarray, np.ndarray]:
    """(k,) lower and (k,) upper ends of a percentile interval, which always holds the value; NaN where a resample has none.

    Of few seeds the plain one is too short: this one is longer by Student's t over the normal, and by sqrt(n / (n - 1)) (the
    expanded percentile interval, T. C. Hesterberg, arXiv 1411.5279).
    """
    if self.n < 2:
      return np.full_like(self.value, -np.inf), np.full_like(self.value, np.inf)
    tail = stats.norm.cdf(-math.sqrt(self.n / (self.n - 1)) * stats.t.ppf((1 + level) / 2, self.n - 1))
    low, high = np.array([_quantiles(column, self.weights, tail) for column in self.values.T]).T
    return np.minimum(low, self.value), np.maximum(high, self.value)


def resample(samples: Sequence[np.ndarray], statistic: Callable[..., float | np.ndarray]) -> Resampled:
  """`statistic(*samples)` of arrays whose first axis is the seed; a resample takes the same seeds of all of them.

  The whole statistic is computed anew for each resample, so nothing in it need be independent but the seeds.
  """
  n = len(samples[0])
  if {len(sample) for sample in samples} != {n}:
    raise ValueError(f'samples of {[len(sample) for sample in samples]} seeds cannot be resampled together')
  rows, weights = _rows(n)
  values = np.array([np.atleast_1d(statistic(*(sample[row] for sample in samples))) for row in rows], float)
  return Resampled(np.atleast_1d(np.asarray(statistic(*samples), float)), values, weights, n)


def _rows(n: int) -> tuple[np.ndarray, np.ndarray]:
  """(resamples, n) seeds with their weights: each choice with replacement once where there are few, else random ones."""
  if n > 7:
    return np.random.default_rng(SEED).integers(0, n, (RESAMPLES, n)), np.full(RESAMPLES, 1 / RESAMPLES)
  rows = np.array(list(itertools.combinations_with_replacement(range(n), n)))
  orders = [math.factorial(n) / math.prod(math.factorial(k) for k in np.bincount(row)) for row in rows]
  return rows, np.array(orders) / n**n


def _quantiles(values: np.ndarray, weights: np.ndarray, tail: float) -> tuple[float, float]:
  """The values at which a share `tail` of the weights lies at or below, and at or above; no mean of two, so inf may be one."""
  if np.isnan(values).any():
    return np.nan, np.nan
  order = np.argsort(values)
  rising, falling = np.cumsum(weights[order]), np.cumsum(weights[order[::-1]])
  first = lambda sums: min(int(np.searchsorted(sums, tail)), len(values) - 1)
  return float(values[order[first(rising)]]), float(values[order[::-1][first(falling)]])


def median_and_range(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Median, lowest and highest over seeds, the first axis. A NaN seed makes NaN."""
  values = np.asarray(values, float)
  return np.median(values, axis=0), np.min(values, axis=0), np.max(values, axis=0)


def mean_and_errors(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Mean over seeds, the first axis, and two standard errors below and above it."""
  values = np.asarray(values, float)
  mean, error = values.mean(axis=0), 2 * values.std(axis=0, ddof=1) / len(values) ** 0.5
  return mean, mean - error, mean + error


def median_and_quartiles(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Median over seeds, the first axis, and the values between which half of them lie. A NaN seed makes NaN."""
  low, middle, high = np.quantile(np.asarray(values, float), (0.25, 0.5, 0.75), axis=0)
  return middle, low, high


def fold(values: np.ndarray) -> np.ndarray:
  """(seed,) the largest over the smallest along the last axis of (seed, n); NaN where all are inf."""
  values = np.asarray(values, float)
  with np.errstate(invalid='ignore', divide='ignore'):
    return values.max(axis=-1) / values.min(axis=-1)


def times_later(late: np.ndarray, early: np.ndarray) -> np.ndarray:
  """late / early for times that may be inf ('never'): inf where only `late` never came, 1 where neither did."""
  late, early = np.asarray(late, float), np.asarray(early, float)
  with np.errstate(invalid='ignore', divide='ignore'):
    return np.where(np.isinf(late) & np.isinf(early), 1.0, late / early)


def rank_correlation(x: np.ndarray, y: np.ndarray) -> float:
  """Spearman's: 1 where y rises with x throughout; tied values share their rank."""
  return float(stats.spearmanr(x, y).statistic)


def wasserstein(a: np.ndarray, b: np.ndarray, weights: np.ndarray) -> float:
  """The Wasserstein-1 distance of equal masses at a (n,) and masses in proportion to `weights` at b (m,). NaN in, NaN out."""
  if not np.isfinite(np.concatenate([a, b, weights])).all():
    return np.nan
  return float(stats.wasserstein_distance(a, b, v_weights=weights))
