"""Runs at a glance: state, step and last readings of each, from its files alone."""

import contextlib
import pathlib
import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import duckdb
import numpy as np

from analysis import tables
from dynamics import progress
from dynamics.plan import identity
from experiments import loaded, markers
from experiments.disk import StoreError, faults, read_json


class Row(NamedTuple):
  """One run at a glance."""

  run: str  # its identity
  config: str  # the name of the file that made it first
  state: str  # 'running', 'stopped', 'done', 'to run' or 'damaged'
  step: str  # '20/24'
  members: str
  saved: float  # when, in seconds since 1970; 0 for never
  readings: str  # medians over members, or what is wrong


def folders(cells, out: pathlib.Path) -> list[pathlib.Path]:
  """Those of the cells, or of all runs, the oldest first."""
  if cells is not None:
    return [out / identity(cell) for cell in cells]
  runs = [path.parent for path in out.glob('*/run.json')]
  if not runs:
    raise StoreError(f'there are no runs in {out}: name another folder with --out, or run a config first.')
  return sorted(runs, key=lambda folder: (changed(folder), folder))


def changed(folder: pathlib.Path) -> float:
  """When a run was saved last; 0 for never."""
  times = [_time(path) for pattern in ('checkpoints/*[0-9]', 'done.json', 'tables/*/done.json') for path in folder.glob(pattern)]
  return max(times, default=0.0)


def _time(path: pathlib.Path) -> float:
  try:
    return path.stat().st_mtime
  except OSError:  # it went meanwhile
    return 0.0


def looker() -> Callable[[Sequence[pathlib.Path]], list[Row]]:
  """A function that looks at runs; what has not changed since its last look is not read again."""
  seen: dict[tuple, Row] = {}

  def look(folders):
    keys = {folder: (folder, changed(folder), _time(folder / 'run.json')) for folder in folders}
    new = [folder for folder in folders if keys[folder] not in seen and (folder / 'run.json').is_file()]
    for folder, row in glimpses(new).items():
      seen[keys[folder]] = row
    return [_now(folder, *keys[folder][1:], seen.get(keys[folder])) for folder in folders]

  return look


def _now(folder: pathlib.Path, saved: float, noted: float, row: Row | None) -> Row:
  """What was read of a run, with its state; `noted` is when its run.json changed, 0 for never."""
  if row is None:
    return Row(folder.name, '', 'to run', '', '', 0.0, '')
  return row._replace(saved=saved) if row.state == 'damaged' else row._replace(state=loaded.state(folder), saved=saved)


def glimpses(folders: Sequence[pathlib.Path]) -> dict[pathlib.Path, Row]:
  """What the files of runs say, without their states: the readings of all of them by few queries."""
  rows: dict[pathlib.Path, Row] = {}
  last: dict[pathlib.Path, dict] = {}
  for folder in folders:
    with _told(folder, rows):
      rows[folder], last[folder] = loaded.consistent(folder, lambda folder=folder: glance(folder))
  try:
    columns = dict(zip(last, tables.rows_of(list(last.values())), strict=True))
  except (tables.Missing, OSError, duckdb.Error):  # of one of them: they are read one by one
    columns = {}
    for folder in list(last):
      with _told(folder, rows):
        rows[folder], columns[folder] = loaded.consistent(folder, lambda folder=folder: _alone(folder))
  return {folder: row._replace(readings=medians(columns[folder])) if folder in columns else row for folder, row in rows.items()}


@contextlib.contextmanager
def _told(folder: pathlib.Path, rows: dict[pathlib.Path, Row]) -> Iterator[None]:
  """A run that cannot be read is a row that says why."""
  try:
    with faults(folder):
      yield
  except StoreError as error:
    rows[folder] = Row(folder.name, '', 'damaged', '', '', 0.0, ' '.join(str(error).split()))


def glance(folder: pathlib.Path) -> tuple[Row, dict[pathlib.Path, str]]:
  """What a run's files say, without its state and readings; and the part that holds its last readings."""
  record, done = read_json(folder / 'run.json'), markers.is_done(folder)
  steps = markers.steps(folder / 'checkpoints')
  step = markers.read_done(folder)['step'] if done else steps[0] if steps else None
  of_probe = {} if step is None else loaded.by_probe(folder, None if done else step)
  of = next((parts for probe, parts in of_probe.items() if probe.partition('-')[0] == 'performance'), {})
  progressed = f'{"-" if step is None else step}/{record["config"]["steps"]}'
  return Row(folder.name, name_of(record), '', progressed, str(len(record['seeds'])), 0.0, ''), dict(list(of.items())[-1:])


def _alone(folder: pathlib.Path) -> tuple[Row, dict[str, np.ndarray]]:
  row, last = glance(folder)
  return row, loaded.rows(last, read_json(folder / 'run.json')) if last else {}


def medians(columns: Mapping[str, Any]) -> str:
  """'train_loss 0.1  test_accuracy 0.98': over members, at the last step."""
  if not columns:
    return ''
  now = columns['step'] == columns['step'].max()
  return '  '.join(f'{name} {np.median(columns[name][now]):.4g}' for name in progress.SHOWN if name in columns)


def name_of(record: Mapping[str, Any]) -> str:
  """The config file that made a run first; '' where its command names none."""
  words = shlex.split(record['sessions'][0]['command'])
  for word, after in zip(words, [*words[1:], ''], strict=True):
    if word == '--config' or word.startswith('--config='):
      return pathlib.Path(word.partition('=')[2] or after).stem
  return ''


def table(rows: Sequence[Row]) -> list[str]:
  """Lines of columns under a heading."""
  now = time.time()
  age = lambda saved: f'{progress.duration(max(now - saved, 0))} ago' if saved else ''
  cells = [
    ('run', 'config', 'state', 'step', 'members', 'saved', 'readings'),
    *(row._replace(saved=age(row.saved)) for row in rows),
  ]
  widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
  return ['  '.join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in cells]
