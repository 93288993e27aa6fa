"""Runs at a glance: state, step and last readings of each, from its files alone."""

import pathlib
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from dynamics import progress
from dynamics.plan import identity
from experiments import checkpoints, loaded, store
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


def looker() -> Callable[[pathlib.Path], Row]:
  """A function that looks at a run; what has not changed since its last look is not read again."""
  seen: dict[tuple, Row] = {}

  def look(folder):
    if not (folder / 'run.json').is_file():
      return Row(folder.name, '', 'to run', '', '', 0.0, '')
    state, saved = loaded.state(folder), changed(folder)
    key = (folder, saved, _time(folder / 'run.json'))
    if key not in seen:
      try:
        with faults(folder):
          seen[key] = loaded.consistent(folder, lambda: glance(folder))
      except StoreError as error:
        seen[key] = Row(folder.name, '', 'damaged', '', '', saved, ' '.join(str(error).split()))
    row = seen[key]
    return row if row.state == 'damaged' else row._replace(state=state, saved=saved)

  return look


def glance(folder: pathlib.Path) -> Row:
  """What a run's files say, without its state."""
  record, done = read_json(folder / 'run.json'), store.is_done(folder)
  steps = checkpoints.Folder(folder / 'checkpoints', (), print).steps()
  step = store.read_done(folder)['step'] if done else steps[0] if steps else None
  of_probe = {} if step is None else loaded.by_probe(folder, None if done else step)
  of = next((parts for probe, parts in of_probe.items() if probe.partition('-')[0] == 'performance'), {})
  last = loaded.rows(dict(list(of.items())[-1:]), record) if of else {}
  progressed = f'{"-" if step is None else step}/{record["config"]["steps"]}'
  return Row(folder.name, name_of(record), '', progressed, str(len(record['seeds'])), 0.0, medians(last))


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
