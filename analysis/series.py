"""Readings out of tidy tables, as arrays whose first axis is the seed (in rising order) and whose second is the step."""

import ast
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.tables import cube


def select(table: pd.DataFrame, **where) -> pd.DataFrame:
  """The rows with these values; dots in column names are written as double underscores.

  Raises:
    LookupError: no row has them, so a figure cannot silently be drawn without a curve.
  """
  for name, value in where.items():
    column = name.replace('__', '.')
    chosen = table[table[column] == (str(value) if isinstance(value, tuple) else value)]  # tables hold tuples as their text
    if chosen.empty:
      raise LookupError(f'no row has {column} = {value!r}; there are: {sorted(table[column].unique())}')
    table = chosen
  return table


def arms(table: pd.DataFrame, wheres: Mapping[str, Mapping[str, Any]]) -> dict[str, pd.DataFrame]:
  """A table cut into named arms, each with the arguments of its `select`."""
  return {name: select(table, **where) for name, where in wheres.items()}


def setting(fields: Sequence[str], values: Sequence[Any]) -> dict[str, Any]:
  """The arguments of `select` for one row of a config's sweep over `fields`."""
  return dict(zip((field.removeprefix('hyper.').replace('.', '__') for field in fields), values, strict=True))


def by(table: pd.DataFrame, field: str) -> dict[Any, pd.DataFrame]:
  """Value of a swept field -> its rows, in rising order; tuples as tuples."""
  value_of = lambda key: ast.literal_eval(key) if isinstance(key, str) and key.startswith('(') else key
  return dict(sorted((value_of(key), rows) for key, rows in table.groupby(field)))


def each_seed(table: pd.DataFrame, reading: str) -> tuple[np.ndarray, np.ndarray]:
  """(t,) steps and (seed, t) values of one setting; (seed, t, r) of an array reading, whose columns are 'reading/0', ...

  Raises:
    LookupError: no such reading.
    ValueError: several settings, whose rows seed and step do not tell apart.
  """
  if reading in table:
    _, steps, values = grid(table, (), reading)
    return steps, values
  numbers = sorted(int(name.rpartition('/')[2]) for name in table if name.rpartition('/')[0] == reading)
  if not numbers:
    raise LookupError(f'no reading {reading!r}; there are: {", ".join(table)}')
  rows = table.sort_values(['seed', 'step'])
  seeds, steps = rows['seed'].nunique(), np.unique(rows['step'])
  if len(rows) != seeds * len(steps):
    raise ValueError(f'{len(rows)} rows for {seeds} seeds and {len(steps)} steps: select one setting first')
  return steps, rows[[f'{reading}/{i}' for i in numbers]].to_numpy(float).reshape(seeds, len(steps), -1)


def grid(table: pd.DataFrame, fields: Sequence[str], reading: str) -> tuple[tuple[np.ndarray, ...], np.ndarray, np.ndarray]:
  """The values of each field in rising order, (t,) steps, and the readings (field 1, field 2, ..., seed, t); NaN for none.

  Raises:
    ValueError: rows that fields, seed and step do not tell apart.
  """
  along = [*fields, 'seed']
  arrays = cube(table[[*along, 'step', reading]], along)
  return (
    tuple(arrays[field].to_numpy() for field in fields),
    arrays['step'].to_numpy(),
    arrays[reading].transpose(*along, 'step').to_numpy(),
  )


def last(table: pd.DataFrame, reading: str) -> np.ndarray:
  """(seed,) the last reading of one setting; (seed, r) of an array reading."""
  return each_seed(table, reading)[1][:, -1]


def lowest(table: pd.DataFrame, reading: str) -> np.ndarray:
  """(seed,) the lowest reading of a run of one setting."""
  return each_seed(table, reading)[1].min(axis=1)


def highest(table: pd.DataFrame, reading: str) -> np.ndarray:
  """(seed,) the highest reading of a run of one setting."""
  return each_seed(table, reading)[1].max(axis=1)


def ends(table: pd.DataFrame) -> pd.DataFrame:
  """The rows of the last reading of every member, each at the end of its own run."""
  return table[table['step'] == table.groupby('cell')['step'].transform('max')]


def at(table: pd.DataFrame, reading: str, step: int) -> np.ndarray:
  """(seed,) the reading at a step; (seed, r) of an array reading."""
  return last(select(table, step=step), reading)


def against(
  table: pd.DataFrame, field: str, reading: str, read: Callable[[pd.DataFrame, str], np.ndarray] = last
) -> tuple[np.ndarray, np.ndarray]:
  """(x,) values of a swept field, (x, n) where they are tuples of n, and (seed, x) `read(rows, reading)` (seed,) at each."""
  settings = by(table, field)
  return np.array(list(settings)), np.stack([read(rows, reading) for rows in settings.values()], axis=1)


def reached(table: pd.DataFrame, reading: str, level: float) -> np.ndarray:
  """(seed,) the first step at which a reading is at least `level`; inf for never, NaN where it was lost before."""
  steps, values = each_seed(table, reading)
  return np.array([first_time(steps, v, level) for v in values])


def first_time(steps: np.ndarray, values: np.ndarray, level: float) -> float:
  """The first step at which `values` (t,) reach `level`; inf where they never do; NaN where a value is NaN before."""
  hits = np.flatnonzero(values >= level)
  gaps = np.flatnonzero(np.isnan(values))
  if len(gaps) and (not len(hits) or gaps[0] < hits[0]):
    return float('nan')
  return float(steps[hits[0]]) if len(hits) else float('inf')


def crossing(x: np.ndarray, y: np.ndarray, level: float, start: float = float('nan')) -> float:
  """The x at which y (n,), at increasing x, first reaches `level`, by a line between two points.

  inf where it never does, `start` where it has from the first point on. Give logarithms for a line in logarithms.
  """
  above = np.flatnonzero(np.asarray(y) >= level)
  if not len(above) or not above[0]:
    return start if len(above) else float('inf')
  (x0, x1), (y0, y1) = x[above[0] - 1 : above[0] + 1], y[above[0] - 1 : above[0] + 1]
  return float(x0 + (level - y0) / (y1 - y0) * (x1 - x0))
