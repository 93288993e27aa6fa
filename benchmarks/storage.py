"""What a stored run costs: seconds until a resumed run trains again, bytes of a checkpoint and of a reading."""

import json
import pathlib
import subprocess
import sys
import tempfile
import time

import duckdb
import jax
import numpy as np

from benchmarks import problems, timing
from benchmarks.problems import PAPER, SMALL
from benchmarks.timing import Options, Table
from dynamics import train, trees
from experiments import store

ROOT = pathlib.Path(__file__).parent.parent


def resuming(options: Options) -> Table:
  """A first start with an empty cache of programs, then resumes, each in a fresh process."""
  header = ('problem', 'start', 'to the first new step, s', 'imports', 'build', 'restore', 'data and first steps')
  rows, starts = [], 2 if options.quick else 4
  for name in ('paper', 'small'):
    with tempfile.TemporaryDirectory() as folder:
      marks = [_start(name, pathlib.Path(folder)) for _ in range(starts)]
    parts = [[m[part] for part in ('total', 'imports', 'build', 'restore', 'train')] for m in marks]
    rows.append((name, 'cold: compiles everything', *(f'{value:.3g}' for value in parts[0])))
    warm = np.array(parts[1:]).T
    rows.append((name, f'resumes, warm cache ({starts - 1} times)', *(timing.spread(value) for value in warm)))
  notes = ['From the start of the process, python itself included. Restore reads the checkpoint back and checks its bytes.']
  return Table('What a resume costs, in seconds: median (min - max)', header, rows, notes)


def checkpoints(options: Options) -> Table:
  """Bytes of a checkpoint against those of its state in memory."""
  rows = []
  for name, config, members in (('paper', PAPER, 1), ('paper', PAPER, 8), ('small', SMALL, 1), ('small', SMALL, 16)):
    item = problems.subject(config, members)
    state, frozen = item.start()
    state = item.advance(state, frozen, 0, 3)  # at step 0 the moments are zeros, which compress well
    count = trees.size(state.variables['params'])
    memory = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(state))
    with tempfile.TemporaryDirectory() as folder, store.opened(pathlib.Path(folder), (), print) as run:
      passing = run.training({})
      passing.save(1, state)
      passing.wait()
      passing.close()
      stored = _size(pathlib.Path(folder) / 'checkpoints' / '1')
    rows.append((name, members, f'{count:,}', f'{memory:,}', f'{stored:,}', f'{memory / count:.1f}', f'{stored / count:.1f}'))
  header = (
    'problem',
    'members',
    'parameters',
    'bytes of the state',
    'bytes on disk',
    'state: bytes/parameter',
    'disk: bytes/parameter',
  )
  notes = [
    'Float32 weights, and what the optimizer keeps: two moments for the paper, none for SGD. zstd on disk. Weights of step 0 '
    'are stored once a run, beside these.'
  ]
  return Table('What a checkpoint costs', header, rows, notes)


def readings(options: Options) -> Table:
  """Parquet bytes of a reading: one probe, one moment, one member."""
  rows = []
  for members in (1, 16):
    item = problems.subject(SMALL | dict(steps=500 if options.quick else 5_000), members)
    with tempfile.TemporaryDirectory() as name, store.opened(pathlib.Path(name), (), print) as run:
      folder = pathlib.Path(name) / 'tables'
      passing = run.training({probe: probe for probe in item.study.schedule})
      for event in train.events(item.study, item.members, item.programs):
        passing.append(event.step, event.readings)
      passing.save(event.step, event.state)
      passing.close()
      for probe in item.study.schedule:
        count, columns = _shape(folder / probe)
        stored, raw = _size(folder / probe), count * (columns * 4 + 4 + 1)  # float32s; step takes 4 bytes more, finite 1
        rows.append((probe, members, columns, count, f'{stored:,}', f'{stored / count:.0f}', f'{raw / count:.0f}'))
  header = ('probe', 'members', 'columns', 'readings', 'bytes on disk', 'bytes a reading', 'raw bytes a reading')
  notes = ['One part: the small problem at the default schedule, saved once. A part costs about 1 to 4 kB whatever it holds.']
  return Table('What a reading costs on disk', header, rows, notes)


def _start(name: str, folder: pathlib.Path) -> dict[str, float]:
  words = [sys.executable, '-m', 'benchmarks.resume', name, str(folder), repr(time.time())]
  done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
  return json.loads(done.stdout.splitlines()[-1])


def _shape(folder: pathlib.Path) -> tuple[int, int]:
  """Rows and columns of a probe's parts."""
  with duckdb.connect() as connection:
    return connection.execute('SELECT * FROM read_parquet(?)', [str(folder / '*.parquet')]).df().shape


def _size(folder: pathlib.Path) -> int:
  return sum(path.stat().st_size for path in folder.rglob('*') if path.is_file())
