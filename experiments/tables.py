"""Readings as immutable Parquet parts: one file a probe and checkpoint, never rewritten.

Columns: step, member, finite, then every reading under its path ('distance_of/input/kernel'); entry i of an array reading
is 'name/i'. Parquet written from numpy holds NaN as NULL; `finite` is False on such rows, and `analysis` reads NaN back.
"""

import os
import pathlib
import re
from collections.abc import Mapping, Sequence

import duckdb
import jax
import numpy as np

from dynamics import parallel, trees
from dynamics.study import Study
from dynamics.train import Members, State, compile_programs

PART = re.compile(r'part-(\d+)-(\d+)\.parquet$')


def schema(study: Study, members: Members) -> tuple[dict[str, dict[str, np.dtype]], State]:
  """probe -> column -> dtype, and the shapes of the state: nothing is compiled or run."""
  programs = compile_programs(study, parallel.mesh(len(members.keys), devices=jax.devices()[:1]))
  data = jax.eval_shape(programs.data, members)
  state = jax.eval_shape(programs.start, members, data)
  out = {}
  for name, measure in programs.measure.items():
    reading, _ = jax.eval_shape(lambda s, m, d, measure=measure: measure(s, m, d, 0), state, members, data)
    out[name] = {column: dtype for path, leaf in trees.by_path(reading).items() for column, dtype in _columns(path, leaf)}
  return out, state


def rows(step: int, reading) -> dict[str, np.ndarray]:
  """One reading of all members as columns of m rows."""
  named = {path: np.asarray(leaf) for path, leaf in trees.by_path(reading).items()}
  members = len(next(iter(named.values())))
  flat = {path: leaf.reshape(members, -1) for path, leaf in named.items()}
  columns = {column: flat[path][:, i] for path, leaf in named.items() for i, (column, _) in enumerate(_columns(path, leaf))}
  finite = np.all([np.isfinite(values) for values in columns.values()], axis=0)
  head = {'step': np.full(members, step, np.int64), 'member': np.arange(members, dtype=np.int32), 'finite': finite}
  return {**head, **columns}


def write(folder: pathlib.Path, probe: str, first: int, last: int, some: Sequence[Mapping[str, np.ndarray]]) -> int:
  """Stores the rows of steps first..last of one probe; returns bytes. The name appears only when the bytes are on disk."""
  place = folder / probe
  place.mkdir(parents=True, exist_ok=True)
  path = place / f'part-{first:09d}-{last:09d}.parquet'
  table = {column: np.concatenate([row[column] for row in some]) for column in some[0]}
  temporary = path.with_suffix('.tmp')
  with duckdb.connect() as connection:
    connection.register('readings', table)
    connection.execute(f"COPY (SELECT * FROM readings) TO '{_quoted(temporary)}' (FORMAT parquet, COMPRESSION zstd)")
  with temporary.open('rb') as file:
    os.fsync(file.fileno())
  temporary.rename(path)
  _sync(place)
  return path.stat().st_size


def drop_after(folder: pathlib.Path, step: int) -> None:
  """Removes the parts past a step that is being resumed from: their rows will be made again."""
  for path in folder.glob('*/part-*'):
    found = PART.search(path.name)
    if found is None or int(found[2]) > step:
      path.unlink()


def _columns(path: str, leaf) -> list[tuple[str, np.dtype]]:
  entries = int(np.prod(leaf.shape[1:], dtype=np.int64))
  names = [path] if len(leaf.shape) == 1 else [f'{path}/{i}' for i in range(entries)]
  return [(name, np.dtype(leaf.dtype)) for name in names]


def _quoted(path: pathlib.Path) -> str:
  return str(path).replace("'", "''")


def _sync(folder: pathlib.Path) -> None:
  """Makes the new name itself durable."""
  handle = os.open(folder, os.O_RDONLY)
  try:
    os.fsync(handle)
  finally:
    os.close(handle)
