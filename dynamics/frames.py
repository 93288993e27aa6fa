"""Readings as tidy pandas tables and as labelled xarray arrays, of a run in memory as of a stored one. No jax here.

A *column* is a reading of one number, under its path ('distance_of/input/kernel'); entry i of an array reading is 'name/i'.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

Columns = Mapping[str, np.ndarray]  # name -> one number a row
LABELS = ('step', 'member', 'finite')  # columns that are no readings


def entries(name: str, shape: tuple[int, ...], dtype) -> dict[str, np.dtype]:
  """The columns of one member's reading, with their dtypes; entries of an array are in C order."""
  names = [f'{name}/{i}' for i in range(math.prod(shape))] if shape else [name]
  half = dtype.kind in 'fV' and dtype.itemsize < 4  # neither Parquet nor pandas has all of these
  return dict.fromkeys(names, np.dtype(np.float32) if half else np.dtype(dtype))


def rows(step: int, reading: Mapping[str, np.ndarray], members: np.ndarray | None = None) -> dict[str, np.ndarray]:
  """One reading of these members, of all by default, path -> (m, ...), as columns of m rows."""
  columns = {}
  for name, leaf in reading.items():
    leaf = np.asarray(leaf)
    flat, names = leaf.reshape(len(leaf), math.prod(leaf.shape[1:])), entries(name, leaf.shape[1:], leaf.dtype)
    columns |= {column: flat[:, i].astype(dtype) for i, (column, dtype) in enumerate(names.items())}
  finite = np.all([np.isfinite(values) for values in columns.values()], axis=0)
  members = np.arange(len(finite)) if members is None else members
  head = {'step': np.full(len(finite), step, np.int64), 'member': members.astype(np.int32), 'finite': finite}
  return {**head, **columns}


def joined(series: Sequence[Columns]) -> dict[str, np.ndarray]:
  """Rows under each other."""
  return {name: np.concatenate([columns[name] for columns in series]) for name in series[0]}


def settings(seeds: Sequence[int], hyper: Mapping[str, Any], swept: Mapping[str, Any] = {}):
  """A DataFrame with a row a member: seed, hyper values (one number, or one a seed), swept static fields; tuples are tuples."""
  import pandas as pd  # here, as below, because not every run in memory is made a table

  same = {path: pd.Series([value] * len(seeds)) for path, value in swept.items()}
  numbers = {name: np.broadcast_to(np.asarray(values), len(seeds)) for name, values in hyper.items()}
  return pd.DataFrame({'seed': np.asarray(seeds, np.int64), **numbers, **same}, index=pd.RangeIndex(len(seeds), name='member'))


def tidy(columns: Columns, members):
  """A DataFrame with a row a (member, step): member, the columns of `members` (from `settings`), step, finite, the readings.

  Raises:
    ValueError: a reading with the name of another column.
  """
  import pandas as pd

  check_names(columns, members)
  readings = {name: values for name, values in columns.items() if name != 'member'}
  labels = members.take(columns['member']).reset_index()
  return pd.concat([labels, pd.DataFrame(readings)], axis=1)


def arrays(columns: Columns, members, shapes: Mapping[str, tuple[int, ...]] | None = None):
  """A Dataset with a variable a reading, of dimensions (member, step, name_0, name_1, ...), and the columns of `members`, from
  `settings`, as coordinates of the member.

  Args:
    columns: all members at all steps, in any order.
    members: from `settings`.
    shapes: of one member's readings; without them an array has a single axis of its own.

  Raises:
    ValueError: a reading with the name of a label.
  """
  import xarray as xr

  check_names(columns, members)
  shapes = _flat_shapes(columns) if shapes is None else shapes
  present, steps = np.unique(columns['member']), np.unique(columns['step'])
  order = np.lexsort((columns['step'], columns['member']))
  variables = {}
  for name, shape in shapes.items():
    parts = [columns[f'{name}/{i}'] for i in range(math.prod(shape))] if shape else [columns[name]]
    values = np.stack([part[order] for part in parts], axis=-1) if parts else np.zeros((len(order), 0))
    axes = [f'{name}_{i}' for i in range(len(shape))]
    variables[name] = (('member', 'step', *axes), values.reshape(len(present), len(steps), *shape))
  labels = {name: ('member', _objects(values.take(present))) for name, values in members.items()}
  return xr.Dataset(variables, {'member': present, 'step': steps, **labels})


def check_names(columns: Columns, members) -> None:
  """Refuses a reading with the name of a label of its table."""
  double = [name for name in columns if name in members.columns or name == 'cell']
  if double:
    raise ValueError(f'a probe has a reading {double[0]!r}, which is the name of a label of its table: give it another name')


class Log(NamedTuple):
  """The readings of a run so far: a row a member, from `settings`; probe -> rows; probe -> reading -> its shape for a member."""

  members: 'pandas.DataFrame'  # noqa: F821
  rows: dict[str, list[Columns]]
  shapes: dict[str, dict[str, tuple[int, ...]]]

  def note(self, probe: str, step: int, reading: Mapping[str, np.ndarray]) -> None:
    """Adds one reading of all members, path -> (m, ...).

    Raises:
      ValueError: one with the name of a label.
    """
    columns = rows(step, reading)
    check_names(columns, self.members)
    self.rows.setdefault(probe, []).append(columns)
    self.shapes[probe] = {path: leaf.shape[1:] for path, leaf in reading.items()}

  def tables(self) -> dict[str, 'pandas.DataFrame']:  # noqa: F821
    """probe -> `tidy`."""
    return {probe: tidy(joined(series), self.members) for probe, series in self.rows.items()}

  def arrays(self) -> dict[str, 'xarray.Dataset']:  # noqa: F821
    """probe -> `arrays`."""
    return {probe: arrays(joined(series), self.members, self.shapes[probe]) for probe, series in self.rows.items()}


def _flat_shapes(columns: Columns) -> dict[str, tuple[int, ...]]:
  """Shapes told from the names of columns: 'top/0', 'top/1', ... is an array of one axis."""
  readings = [name for name in columns if name not in LABELS]
  arrays: dict[str, int] = {}
  for name in readings:
    head, slash, last = name.rpartition('/')
    if slash and last == str(arrays.get(head, 0)):
      arrays[head] = int(last) + 1
  singles = [name for name in readings if not _is_entry(name, arrays)]
  return {**dict.fromkeys(singles, ()), **{name: (count,) for name, count in arrays.items()}}


def _is_entry(name: str, arrays: Mapping[str, int]) -> bool:
  head, slash, last = name.rpartition('/')
  return bool(slash) and head in arrays and last.isdigit()


def _objects(column) -> np.ndarray:
  """A column's values; tuples stay tuples."""
  if column.dtype != object:
    return column.to_numpy()
  values = np.empty(len(column), object)
  values[:] = list(column)
  return values
