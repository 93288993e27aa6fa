"""Least-squares fits of the laws that papers state: lines, power laws, exponentials. They take one curve or many, (..., n)."""

from typing import NamedTuple

import numpy as np


class Line(NamedTuple):
  """y = slope x + intercept, for each curve."""

  slope: np.ndarray  # (...,)
  intercept: np.ndarray
  r2: np.ndarray  # 0 where y does not vary, NaN where y is not finite

  def __call__(self, x: np.ndarray) -> np.ndarray:
    return self.slope * x + self.intercept


def line(x: np.ndarray, y: np.ndarray) -> Line:
  """The least-squares line of y (..., n) on x (n,)."""
  x, y = np.asarray(x, float), np.asarray(y, float)
  mean = y.mean(axis=-1)
  dx, dy = x - x.mean(), y - mean[..., None]
  slope = dy @ dx / (dx @ dx)
  total = np.sum(dy**2, axis=-1)
  residual = np.sum((dy - slope[..., None] * dx) ** 2, axis=-1)
  with np.errstate(invalid='ignore', divide='ignore'):
    return Line(slope, mean - slope * x.mean(), np.where(total == 0, 0.0, 1 - residual / total))


def power_law(x: np.ndarray, y: np.ndarray) -> Line:
  """y ~ x^slope: the line of log y (..., n) on log x (n,). NaN where a value is not positive and finite."""
  return line(_log(x), _log(y))


def exponential(t: np.ndarray, y: np.ndarray) -> Line:
  """y ~ exp(slope t): the line of log y (..., n) on t (n,). NaN where a value is not positive and finite."""
  return line(t, _log(y))


def decay_rate(t: np.ndarray, y: np.ndarray, until: float) -> float:
  """r of y = y[0] exp(-r t), fitted to log y (n,), from t[0] = 0 on, while |y| is above the share `until` of its first value."""
  share = np.abs(y / y[0])
  end = np.argmax(share < until) if (share < until).any() else len(share)
  t, log = t[1 : max(end, 2)], np.log(share[1 : max(end, 2)])
  return -(t @ log) / (t @ t)


class Broken(NamedTuple):
  """Two power laws that meet at x = place."""

  below: float  # the exponent there
  above: float
  place: float

  def shape(self, x: np.ndarray) -> np.ndarray:
    """log y up to a constant."""
    return np.where(x < self.place, self.below, self.above) * np.log(x / self.place)


def broken_power_law(x: np.ndarray, y: np.ndarray, least: int = 3) -> Broken:
  """The least-squares fit of log y (n,) by two lines in log x that meet, with `least` points at either side of the break.

  The break is searched on a grid a hundred times finer than the points. NaN where a value is not finite.
  """
  log_x, log_y = np.log(np.asarray(x, float)), np.log(np.asarray(y, float))
  if not (np.isfinite(log_x).all() and np.isfinite(log_y).all()):
    return Broken(np.nan, np.nan, np.nan)

  def fit(place):
    terms = np.stack([np.ones_like(log_x), log_x, np.maximum(log_x - place, 0)], axis=1)
    coefficients = np.linalg.lstsq(terms, log_y, rcond=None)[0]
    return np.sum((log_y - terms @ coefficients) ** 2), coefficients

  ordered = np.sort(log_x)
  places = np.linspace(ordered[least - 1], ordered[-least], 100 * len(log_x))
  place = min(places, key=lambda c: fit(c)[0])
  _, slope, bend = fit(place)[1]
  return Broken(float(slope), float(slope + bend), float(np.exp(place)))


GROWTH = {'log': np.log, 'root': np.sqrt, 'quarter': lambda t: np.asarray(t, float) ** 0.25}


def growth(t: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
  """R^2 of y = a f(t) + b, y (..., n) at times t (n,) above 0, for f = log t ('log'), t^(1/2) ('root') and t^(1/4) ('quarter').

  All three have two free parameters, so their R^2 may be compared.
  """
  return {name: line(f(np.asarray(t, float)), y).r2 for name, f in GROWTH.items()}


def _log(values: np.ndarray) -> np.ndarray:
  values = np.asarray(values, float)
  return np.log(np.where((values > 0) & np.isfinite(values), values, np.nan))
