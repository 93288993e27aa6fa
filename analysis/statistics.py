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


def power_law(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
  """(a, R^2) of the least-squares line log y = a log x + b, for positive (n,) x and y. NaN where a value is not finite.

  R^2 is that of the logarithms; 0 where y does not vary.
  """
  log_x, log_y = np.log(np.asarray(x, float)), np.log(np.asarray(y, float))
  if not (np.isfinite(log_x).all() and np.isfinite(log_y).all()):
    return np.nan, np.nan
  a, b = np.polyfit(log_x, log_y, 1)
  total = np.sum((log_y - log_y.mean()) ** 2)
  return float(a), float(1 - np.sum((log_y - a * log_x - b) ** 2) / total) if total > 0 else 0.0


class Broken(NamedTuple):
  """Two power laws that meet at x = place."""

  below: float  # the exponent there
  above: float
  place: float


def broken_power_law(x: np.ndarray, y: np.ndarray, least: int = 3) -> Broken:
  """The least-squares fit of log y by two lines in log x that meet, with `least` points at either side of the break.

  The break is searched on a grid a hundred times finer than the points. NaN where a value is not finite.
  """
  log_x, log_y = np.log(np.asarray(x, float)), np.log(np.asarray(y, float))
  if not (np.isfinite(log_x).all() and np.isfinite(log_y).all()):
    return Broken(np.nan, np.nan, np.nan)

  def fit(place):
    terms = np.stack([np.ones_like(log_x), log_x, np.maximum(log_x - place, 0)], axis=1)
    found = np.linalg.lstsq(terms, log_y, rcond=None)[0]
    return np.sum((log_y - terms @ found) ** 2), found

  ordered = np.sort(log_x)
  places = np.linspace(ordered[least - 1], ordered[-least], 100 * len(log_x))
  place = min(places, key=lambda c: fit(c)[0])
  _, slope, bend = fit(place)[1]
  return Broken(float(slope), float(slope + bend), float(np.exp(place)))


def crossing(x: np.ndarray, y: np.ndarray, level: float) -> float:
  """The x at which positive y (n,), at increasing positive x, first reaches `level`, by a line in the logarithms.

  inf where it never does, NaN where it has from the start.
  """
  above = np.flatnonzero(np.asarray(y) >= level)
  if not len(above) or not above[0]:
    return float('nan') if len(above) else float('inf')
  i = above[0]
  return float(np.exp(np.interp(np.log(level), np.log(y[i - 1 : i + 1]), np.log(x[i - 1 : i + 1]))))


def halves(values: np.ndarray, statistic: Callable[[np.ndarray], float]) -> np.ndarray:
  """(n,) `statistic` of n random halves of the members of `values` (n, ...).

  For a statistic of many members, such as the fit to a median. A half varies about its mean as much as all members do about
  the truth (the delete-half jackknife), so the spread of these numbers is the error of the statistic; they are not independent.
  """
  rng, values = np.random.default_rng(SEED), np.asarray(values)
  size = max(len(values) // 2, 1)
  return np.array([statistic(values[rng.permutation(len(values))[:size]]) for _ in values])


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


def exponent(x: np.ndarray, y: np.ndarray) -> np.ndarray:
  """The least-squares slope of log y (..., n) against log x (n,): a of y ~ x^a. NaN where a value is not positive."""
  y = np.asarray(y, float)
  away = np.log(x) - np.mean(np.log(x))
  return np.log(np.where(y > 0, y, np.nan)) @ away / (away @ away)


def rank_correlation(x: np.ndarray, y: np.ndarray) -> float:
  """Spearman's: 1 where y rises with x throughout; tied values share their rank."""
  return float(stats.spearmanr(x, y).statistic)


def without_each(values: np.ndarray) -> np.ndarray:
  """(n, ...) the mean of all rows but one, for each row (n, ...): how much a mean owes to a single member."""
  values = np.asarray(values, float)
  return (values.sum(axis=0, keepdims=True) - values) / (len(values) - 1)


def errors_apart(one: np.ndarray, two: np.ndarray) -> np.ndarray:
  """(n,) differences of paired samples, in standard errors of the difference of two means: sqrt(s1^2 / n + s2^2 / n)."""
  one, two = np.asarray(one, float), np.asarray(two, float)
  return (one - two) / np.sqrt((np.var(one, ddof=1) + np.var(two, ddof=1)) / len(one))


def line(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """(slope, R^2) of the least-squares line of y (..., n) on x (n,); R^2 is 0 where y does not vary, NaN where y is not finite."""
  x, y = np.asarray(x, float), np.asarray(y, float)
  dx, dy = x - x.mean(), y - y.mean(axis=-1, keepdims=True)
  slope = dy @ dx / (dx @ dx)
  total = np.sum(dy**2, axis=-1)
  left = np.sum((dy - slope[..., None] * dx) ** 2, axis=-1)
  with np.errstate(invalid='ignore', divide='ignore'):
    return slope, np.where(total == 0, 0.0, 1 - left / total)


GROWTH = {'log': np.log, 'root': np.sqrt, 'quarter': lambda t: np.asarray(t, float) ** 0.25}


def growth(t: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
  """R^2 of y = a f(t) + b, y (..., n) at times t (n,) above 0, for f = log t ('log'), t^(1/2) ('root') and t^(1/4) ('quarter').

  All three have two free parameters, so their R^2 may be compared.
  """
  return {name: line(f(np.asarray(t, float)), y)[1] for name, f in GROWTH.items()}
