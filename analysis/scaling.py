"""How readings scale with the size of a network: the coordinate check of 2203.03466, appendix D.1, with its uncertainty."""

import ast
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from analysis.series import grid
from analysis.statistics import LEVEL

VANISHES, STAYS, EXPLODES, UNDECIDED = 'vanishes', 'stays', 'explodes', 'undecided'
ZERO, DIVERGED = 'zero', 'diverged'  # a reading that is 0, and one that is not finite, has no power of a size

BAND = 0.25  # about 0: exponents of parametrizations are multiples of 1/2 (2011.14522), so 0 is the nearest one within


class Scaling(NamedTuple):
  """y ~ size^slope: the mean over seeds of their slopes, its standard error, and its confidence interval."""

  slope: float
  error: float
  low: float
  high: float
  seeds: int
  verdict: str


def scaling(sizes: Mapping[str, Sequence[float]], values: np.ndarray, band: float = BAND) -> dict[str, Scaling]:
  """The exponent of each size in values (seed, point), by least squares in logarithms, seed by seed.

  `vanishes`, `stays` or `explodes` where the whole 95% interval of the slope, Student's t over seeds, lies below, within or above
  [-band, band]; `undecided` where it lies across a bound, and of a single seed. The sizes of all points are given together, so
  that width and depth may vary at once.

  Args:
    sizes: name of a size -> (point,) its values, above 0.
    values: (seed, point) readings.
    band: exponents up to this one count as none.

  Raises:
    ValueError: sizes that are not (point,) each, or that cannot be told apart, as of a single width.
  """
  values = np.asarray(values, float)
  columns = [np.asarray(x, float) for x in sizes.values()]
  if any(x.shape != values.shape[1:] for x in columns):
    raise ValueError(f'values {values.shape} (seed, point) need sizes {values.shape[1:]}, not {[x.shape for x in columns]}')
  terms = np.stack([*map(np.log, columns), np.ones(values.shape[1])], axis=1)
  if np.linalg.matrix_rank(terms) < terms.shape[1]:
    raise ValueError(
      f'{", ".join(sizes)} cannot be told apart, or do not vary, over {len(terms)} points: sweep over more of them'
    )
  if not np.isfinite(values).all() or (values <= 0).any():
    verdict = DIVERGED if not np.isfinite(values).all() else ZERO
    return {name: Scaling(*[np.nan] * 4, len(values), verdict) for name in sizes}
  slopes = np.linalg.lstsq(terms, np.log(values).T, rcond=None)[0][:-1]  # (size, seed)
  return {name: _over_seeds(row, band) for name, row in zip(sizes, slopes, strict=True)}


def _over_seeds(slopes: np.ndarray, band: float) -> Scaling:
  n, slope = len(slopes), float(slopes.mean())
  if n < 2:
    return Scaling(slope, np.nan, -np.inf, np.inf, n, UNDECIDED)
  error = float(slopes.std(ddof=1)) / n**0.5
  reach = float(stats.t.ppf((1 + LEVEL) / 2, n - 1)) * error
  low, high = slope - reach, slope + reach
  verdict = STAYS if -band <= low and high <= band else EXPLODES if low > band else VANISHES if high < -band else UNDECIDED
  return Scaling(slope, error, low, high, n, verdict)


def points(table: pd.DataFrame, fields: Sequence[str], reading: str, step: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
  """field -> (point,) its values in all settings, and (seed, point) the reading at a step. What `scaling` takes.

  Points are in rising order, the first field first. A tuple of equal widths counts as one of them.

  Raises:
    ValueError: a tuple of different widths.
  """
  along, _, values = grid(table[table['step'] == step], fields, reading)
  mesh = np.meshgrid(*([_number(value) for value in axis] for axis in along), indexing='ij')
  flat, values = [axis.ravel() for axis in mesh], values[..., 0].reshape(-1, values.shape[-2]).T
  order = np.lexsort(flat[::-1])  # tuples are sorted as text until here
  return {field: axis[order] for field, axis in zip(fields, flat, strict=True)}, values[:, order]


def _number(value) -> float:
  if not isinstance(value, str):
    return float(value)
  widths = ast.literal_eval(value)
  if len(set(widths)) != 1:
    raise ValueError(f'the widths {value} differ, and are no single size: sweep over networks of equal layers')
  return float(widths[0])


def check(
  table: pd.DataFrame, fields: Sequence[str], readings: Sequence[str], step: int, band: float = BAND
) -> dict[tuple[str, str], Scaling]:
  """(reading, field) -> how the reading at a step scales with the size in that column of the table."""
  each = {reading: scaling(*points(table, fields, reading, step), band) for reading in readings}
  return {(reading, field): scale for reading, of in each.items() for field, scale in of.items()}
