"""Tables of stored runs: found by content, never by path."""

import functools
import hashlib
import itertools
import json
import pathlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import duckdb
import numpy as np

from dynamics import frames, sealed
from dynamics.plan import Cell, identity, table_identity


class Missing(LookupError):
  """Runs that are not there. Its text says which command makes them."""


def done(cells: Sequence[Cell], out: pathlib.Path) -> list[bool]:
  """For each cell, whether its training is finished and all of its tables are made, under `out`. Parts are not read."""
  return [(out / identity(cell) / 'done.json').is_file() and not _unmade(cell, cell.probes, out) for cell in cells]


def load(cells: Sequence[Cell], probe: str, out: pathlib.Path, make: str) -> 'pandas.DataFrame':  # noqa: F821
  """One tidy table of a probe over all cells: a row a (cell, member, step).

  Columns: cell (the run's identity), member, seed, every hyper value under its name, every static field that the sweep
  changes under its path, step, finite, and the readings: entry i of an array is 'name/i'. NaN is NaN.

  Args:
    cells: what was asked for.
    probe: a probe of these runs.
    out: the folder of results.
    make: the command that makes missing runs, for the error.

  Raises:
    Missing: a probe that is not on, or runs or tables that are not there, not done, or not as they were written.
  """
  for cell in cells:
    if probe not in cell.probes:
      raise Missing(f'{probe!r} is no probe of this config; there are: {", ".join(cell.probes) or "none"}')
  absent = [cell for cell in cells if not (out / identity(cell) / 'done.json').is_file() or _unmade(cell, (probe,), out)]
  if absent:
    raise Missing(f'{len(absent)} of {len(cells)} tables of {probe!r} are not in {out}; make them with: {make}')
  parts = [_parts(cell, probe, out, make) for cell in cells]
  try:
    return labelled(cells, rows_of(parts))
  except Missing as error:
    raise Missing(f'{error}; make it again with: {make}') from error


def _parts(cell: Cell, probe: str, out: pathlib.Path, make: str) -> dict[pathlib.Path, str]:
  """The parts of the table of one cell, path -> sha256, from files that are as the run wrote them."""
  folder = out / identity(cell)
  for name in ('run.json', 'done.json'):
    _sealed(folder / name, make)
  place = folder / 'tables' / table_identity(cell, probe)
  parts = {place / name: digest for name, digest in sorted(_sealed(place / 'done.json', make)['parts'].items())}
  if not parts:
    raise Missing(f'{probe!r} is read at no step of this run; give it a schedule, and make it with: {make}')
  return parts


def database() -> duckdb.DuckDBPyConnection:
  """A cursor of one database in memory: opening another costs fifty times as much as reading a small part."""
  return _database().cursor()


@functools.cache
def _database() -> duckdb.DuckDBPyConnection:
  return duckdb.connect()


def rows(parts: Mapping[pathlib.Path, str]) -> dict[str, np.ndarray]:
  """The columns of a table's parts, path -> sha256, whose bytes are checked. NaN is NaN.

  Raises:
    Missing: a part that is missing, or holds other bytes than were written.
  """
  _check(parts)
  with database() as connection:
    columns = connection.execute('SELECT * FROM read_parquet(?)', [[_literally(path) for path in parts]]).fetchnumpy()
  # Parquet holds NaN as NULL, which comes back masked.
  return {name: _filled(values) for name, values in columns.items()}


def rows_of(series: Sequence[Mapping[pathlib.Path, str]]) -> list[dict[str, np.ndarray]]:
  """`rows` of many tables: one query for all that have the same columns, which takes a fifth of the time of one a table.

  Raises:
    Missing: as `rows`.
  """
  for parts in series:
    _check(parts)
  patterns = [_literally(path) for parts in series for path in parts]
  if not patterns:
    return [{} for _ in series]
  with database() as connection:
    fetch = lambda query, paths: dict(connection.execute(query, [paths]).fetchall())
    counts = fetch('SELECT file_name, num_rows FROM parquet_file_metadata(?)', patterns)
    fields = "list(concat_ws(' ', name, type, logical_type) ORDER BY name)"
    kinds = fetch(f'SELECT file_name, {fields} FROM parquet_schema(?) GROUP BY file_name', patterns)
    groups: dict[tuple, list[int]] = {}
    for i, parts in enumerate(series):
      groups.setdefault(tuple(sorted({tuple(kinds[str(path)]) for path in parts})), []).append(i)
    tables: list[dict[str, np.ndarray]] = [{} for _ in series]
    for kind, members in groups.items():
      if len(kind) != 1:
        for i in members:
          tables[i] = rows(series[i]) if series[i] else {}
        continue
      paths = [_literally(path) for i in members for path in series[i]]
      columns = connection.execute('SELECT * FROM read_parquet(?)', [paths]).fetchnumpy()
      ends = np.cumsum([sum(counts[str(path)] for path in series[i]) for i in members])[:-1]
      for name, values in columns.items():
        for i, of in zip(members, np.split(_filled(values), ends), strict=True):
          tables[i][name] = of
  return tables


def shapes(part: pathlib.Path) -> dict[str, tuple[int, ...]] | None:
  """Reading -> its shape for one member, from the metadata of a part; None where it was written before parts had them."""
  with database() as connection:
    query = "SELECT decode(value) FROM parquet_kv_metadata(?) WHERE decode(key) = 'shapes'"
    row = connection.execute(query, [_literally(part)]).fetchone()
  return row and {name: tuple(shape) for name, shape in json.loads(row[0]).items()}


def labelled(cells: Sequence[Cell], series: Sequence[Mapping[str, np.ndarray]]) -> 'pandas.DataFrame':  # noqa: F821
  """Stored columns, those of each cell under the other's, with the cell's identity, seeds, hyper values and swept fields beside.

  A swept tuple is its text, and a swept block its name with the fields that the sweep sets: 'low_rank(rank=8)'. Cells in a row
  that have the same columns are made one table at once: a table each would take most of the time of thousands of small runs.
  """
  import pandas as pd  # what looks at columns alone does without

  kind = lambda pair: ([*pair[0].hyper], [*pair[0].swept], [*pair[1]])
  groups = [zip(*group, strict=True) for _, group in itertools.groupby(zip(cells, series, strict=True), kind)]
  return pd.concat([_of_one_kind(*group) for group in groups], ignore_index=True)


def _of_one_kind(cells: Sequence[Cell], series: Sequence[Mapping[str, np.ndarray]]) -> 'pandas.DataFrame':  # noqa: F821
  import pandas as pd

  each = lambda values: pd.Series([value for cell, value in zip(cells, values, strict=True) for _ in cell.seeds])
  hyper = {
    name: [value for cell in cells for value in np.broadcast_to(cell.hyper[name], cell.members)] for name in cells[0].hyper
  }
  members = frames.settings([seed for cell in cells for seed in cell.seeds], hyper)
  members = members.assign(**{path: each([text(cell.swept[path]) for cell in cells]) for path in cells[0].swept})
  members.insert(0, 'cell', each(map(identity, cells)))
  firsts = np.cumsum([0, *(cell.members for cell in cells)])
  places = [columns['member'] + first for columns, first in zip(series, firsts[:-1], strict=True)]
  members.index = pd.Index(np.concatenate([range(cell.members) for cell in cells]), name='member')
  table = frames.tidy({**frames.joined(series), 'member': np.concatenate(places)}, members)
  table.insert(0, 'cell', table.pop('cell'))
  return table


def text(value: Any) -> Any:
  """A swept value as a table holds it."""
  if isinstance(value, Mapping) and 'name' in value:
    fields = ', '.join(f'{name}={text(of)}' for name, of in value.items() if name != 'name')
    return f'{value["name"]}({fields})' if fields else value['name']
  return str(value) if isinstance(value, (tuple, list, Mapping)) else value


def cube(table: 'pandas.DataFrame', along: Sequence[str] = ('seed',)) -> 'xarray.Dataset':  # noqa: F821
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
  """What done.json says of a training: the seconds of each part, the members that diverged.

  Raises:
    Missing: a file that is not as it was written.
  """
  return _sealed(out / identity(cell) / 'done.json', 'the command of this config')


def begun(cell: Cell, out: pathlib.Path) -> Mapping[str, Any] | None:
  """The command that began a run, with its commit and time; None where there is no such run.

  Raises:
    Missing: a record that is not as it was written.
  """
  record = out / identity(cell) / 'run.json'
  return _sealed(record, 'the command of this config')['sessions'][0] if record.is_file() else None


def _check(parts: Mapping[pathlib.Path, str]) -> None:
  for path, digest in parts.items():
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != digest:
      raise Missing(f'{path} is missing or damaged')


def _unmade(cell: Cell, probes: Iterable[str], out: pathlib.Path) -> list[str]:
  """The probes of a cell whose table has no done.json."""
  tables = out / identity(cell) / 'tables'
  return [probe for probe in probes if not (tables / table_identity(cell, probe) / 'done.json').is_file()]


def _sealed(path: pathlib.Path, make: str) -> Mapping[str, Any]:
  try:
    return sealed.read(path)
  except sealed.SealError as error:
    raise Missing(f'{error}; remove it, and make it again with: {make}') from error


def _literally(path: pathlib.Path) -> str:
  """A path as a pattern that matches it alone: duckdb expands *, ? and [."""
  return re.sub(r'[*?[]', lambda match: f'[{match[0]}]', str(path))


def _filled(values: np.ndarray) -> np.ndarray:
  return values.filled(np.nan) if isinstance(values, np.ma.MaskedArray) and values.dtype.kind == 'f' else np.asarray(values)
