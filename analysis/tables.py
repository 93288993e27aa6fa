"""Tables of stored runs: found by content, never by path."""

import hashlib
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import xarray as xr

from dynamics.plan import Cell, identity


class Missing(LookupError):
  """Runs that are not there. Its text says which command makes them."""


def done(cells: Sequence[Cell], out: pathlib.Path) -> list[bool]:
  """For each cell, whether its run is finished and stored under `out`."""
  return [(out / identity(cell) / 'done.json').is_file() for cell in cells]


def load(cells: Sequence[Cell], probe: str, out: pathlib.Path, make: str) -> pd.DataFrame:
  """One tidy table of a probe over all cells: a row a (cell, member, step).

  Columns: cell (the run's identity), member, seed, every hyper value under its name, every static field that the sweep
  changes under its path, step, finite, and the readings. NaN readings are NaN.

  Args:
    cells: what was asked for.
    probe: a probe of these runs.
    out: the folder of results.
    make: the command that makes missing runs, for the error.

  Raises:
    Missing: runs that are not there or not done, or a probe that was not on.
  """
  absent = [cell for cell, there in zip(cells, done(cells, out), strict=True) if not there]
  if absent:
    raise Missing(f'{len(absent)} of {len(cells)} runs are not in {out}; make them with: {make}')
  return pd.concat([of_cell(cell, probe, out / identity(cell), make) for cell in cells], ignore_index=True)


def of_cell(cell: Cell, probe: str, folder: pathlib.Path, make: str) -> pd.DataFrame:
  """The table of one cell, whose bytes are checked to be those that the run wrote."""
  written = json.loads((folder / 'done.json').read_text())['parts']  # name -> sha256
  named = {folder / 'tables' / name: digest for name, digest in written.items()}
  parts = {path: digest for path, digest in sorted(named.items()) if path.parent.name == probe}
  if not parts:
    on = ', '.join(sorted({path.parent.name for path in named}))
    raise Missing(f'{folder} has no table of {probe!r}; there are: {on or "none"}. Switch it on and run: {make}')
  for path, digest in parts.items():
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != digest:
      raise Missing(f'{path} is missing or damaged: remove {folder / "done.json"} and make its rows again with: {make}')
  with duckdb.connect() as connection:
    columns = connection.execute('SELECT * FROM read_parquet(?)', [[str(p) for p in parts]]).fetchnumpy()
  # Parquet holds NaN as NULL, which comes back masked.
  return labelled(cell, {name: _filled(values) for name, values in columns.items()})


def labelled(cell: Cell, columns: Mapping[str, np.ndarray]) -> pd.DataFrame:
  """Stored columns, with the cell's identity, seeds, hyper values and swept fields beside them."""
  readings = dict(columns)
  member = readings.pop('member')
  labels = {
    'cell': np.full(len(member), identity(cell)),
    'member': member,
    'seed': np.asarray(cell.seeds)[member],
    **{name: np.asarray(values)[member] for name, values in cell.hyper.items()},
    **{path: _repeated(value, len(member)) for path, value in cell.swept.items()},
  }
  return pd.DataFrame({**labels, **readings})


def cube(table: pd.DataFrame, along: Sequence[str] = ('seed',)) -> xr.Dataset:
  """A tidy table as labelled arrays (along..., step): readings of all members at all times of one setting.

  Raises:
    ValueError: rows that `along` and step do not tell apart.
  """
  index = [*along, 'step']
  if table.duplicated(index).any():
    raise ValueError(f'several rows share {", ".join(index)}: select one setting first, or name what tells them apart')
  numeric = table.select_dtypes('number').columns.difference(['member'])
  return table[numeric.union(index)].set_index(index).to_xarray()


def summary(cell: Cell, out: pathlib.Path) -> Mapping[str, Any]:
  """What done.json says of a run: the seconds of each part, the members that diverged."""
  return json.loads((out / identity(cell) / 'done.json').read_text())


def _filled(values: np.ndarray) -> np.ndarray:
  return values.filled(np.nan) if isinstance(values, np.ma.MaskedArray) and values.dtype.kind == 'f' else np.asarray(values)


def _repeated(value: Any, count: int) -> np.ndarray:
  """A swept value as a column; tuples as their text."""
  return np.full(count, str(value) if isinstance(value, (tuple, list)) else value)
