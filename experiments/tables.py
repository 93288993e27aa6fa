"""Readings as immutable Parquet parts: one file a table and checkpoint, never rewritten.

Columns: step, member, finite, then every reading under its path ('distance_of/input/kernel'); entry i of an array reading
is 'name/i', and the metadata hold the shapes. Parquet written from numpy holds NaN as NULL; `finite` is False on such rows,
and `analysis` reads NaN back.
"""

import collections
import hashlib
import json
import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence

import duckdb
import numpy as np

from dynamics import frames, trees
from dynamics.types import Tree
from experiments.disk import StoreError, read_json, sync


def columns(reading: Tree) -> dict[str, np.dtype]:
  """The columns of one member's reading, from its shapes: name -> dtype as stored."""
  leaves = trees.by_path(reading).items()
  return {name: dtype for path, leaf in leaves for name, dtype in frames.entries(path, leaf.shape, np.dtype(leaf.dtype)).items()}


def rows(step: int, reading: Tree, members: np.ndarray | None = None) -> dict[str, np.ndarray]:
  """One reading of these members, of all by default, as columns of m rows."""
  return frames.rows(step, trees.by_path(reading), members)


def shapes(reading: Tree) -> dict[str, tuple[int, ...]]:
  """Path -> the shape of one member's, of one reading of all members."""
  return {path: leaf.shape[1:] for path, leaf in trees.by_path(reading).items()}


def write(
  folder: pathlib.Path,
  name: str,
  first: int,
  last: int,
  series: Sequence[Mapping[str, np.ndarray]],
  of: Mapping[str, tuple[int, ...]] = {},
  share: str = '',
) -> pathlib.Path:
  """Stores the rows of steps first..last of one table, and `of`, its `shapes`, as metadata.

  `share` tells the parts of several processes from each other.

  The part's name appears only when its bytes are on disk.
  """
  place = folder / name
  place.mkdir(parents=True, exist_ok=True)
  path = place / f'part-{first:09d}-{last:09d}{share}.parquet'
  table = {column: np.concatenate([row[column] for row in series]) for column in series[0]}
  temporary = path.with_suffix('.tmp')
  try:
    with duckdb.connect() as connection:
      connection.register('readings', table)
      metadata = f"KV_METADATA {{shapes: '{_quoted(json.dumps(of))}'}}"
      target = f"'{_quoted(temporary)}' (FORMAT parquet, COMPRESSION zstd, {metadata})"
      connection.execute(f'COPY (SELECT * FROM readings) TO {target}')
    with temporary.open('rb') as file:
      os.fsync(file.fileno())
    temporary.rename(path)
  finally:
    temporary.unlink(missing_ok=True)
  sync(place)
  return path


def digest(path: pathlib.Path) -> str:
  """The sha256 of a part; 'missing' where there is none."""
  return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else 'missing'


def damaged(folder: pathlib.Path, parts: Mapping[str, str]) -> list[pathlib.Path]:
  """Those of `parts` (name -> sha256) that are missing, or hold other bytes than were written."""
  return [folder / name for name, sha256 in parts.items() if digest(folder / name) != sha256]


def losses(folder: pathlib.Path, parts: Mapping[str, str]) -> dict[str, tuple[int, int]]:
  """Table -> (damaged, all) of its parts; tables that are whole are left out."""
  count = lambda names: collections.Counter(name.split('/')[0] for name in names)
  all_, lost = count(parts), count(path.relative_to(folder).as_posix() for path in damaged(folder, parts))
  return {name: (lost[name], all_[name]) for name in sorted(lost)}


def is_whole(folder: pathlib.Path) -> bool:
  """Whether a table's marker and all parts that it names are as they were written."""
  if not (folder / 'done.json').is_file():
    return False
  try:
    return not damaged(folder, read_json(folder / 'done.json')['parts'])
  except StoreError:
    return False


def holes(folder: pathlib.Path) -> dict[str, tuple[int, int]]:
  """Part -> (first, last) of those that a done table has lost; none where it is whole, or has nothing left to keep."""
  try:
    parts = read_json(folder / 'done.json')['parts']
  except StoreError:
    return {}
  lost = [path.name for path in damaged(folder, parts)]
  return {name: steps(name) for name in lost if len(lost) < len(parts)}


def steps(part: str) -> tuple[int, int]:
  """The first and the last step of a part, from its name."""
  first, last = part.removesuffix('.parquet').split('-')[1:3]  # one of several processes has its number behind
  return int(first), int(last)


def keep_only(folder: pathlib.Path, name: str, parts: Iterable[str]) -> None:
  """Removes every other file of a table."""
  keep = {folder / part for part in parts}
  for path in [p for p in (folder / name).glob('*') if p not in keep]:
    path.unlink()


def _quoted(text: object) -> str:
  return str(text).replace("'", "''")
