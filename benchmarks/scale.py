"""What a sweep of many cells costs beside them, and a look at many runs."""

import os
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

import numpy as np

from benchmarks import timing
from benchmarks.timing import Options, Table

ROOT = pathlib.Path(__file__).parent.parent
RUNS = 1_000
CONFIG = """
import ml_collections


def get_config():
  return ml_collections.ConfigDict(
    dict(
      data=dict(name='modular', p=7),
      model=dict(name='mlp', widths=(16,)),
      loss=dict(name='cross_entropy'),
      optimizer=dict(name='sgd'),
      hyper=dict(lr=0.1),
      steps=200,
      seeds=(0, 1, 2, 3),
      probes=dict(performance=dict()),
      sweep=(('data_seed', tuple(range({cells}))),),
    )
  )
"""
# Each cell by itself, in one process that has its programs: what a sweep cannot be faster than.
ALONE = """
import sys, time
import numpy as np
from experiments import config, run, share

cells, rest = config.read(sys.argv[1:])
spent = []
with run.opened(run.parse(rest)) as context:
  for unit in share.units(cells):
    wall, processor = time.perf_counter(), time.process_time()
    run.run_unit(unit, context)
    spent.append((time.perf_counter() - wall, time.process_time() - processor))
print(*np.median(spent[2:], axis=0))
"""


def cells(options: Options) -> Table:
  """A sweep through two workers, against its cells alone."""
  numbers = (4, 8) if options.quick else (10, 50)
  header = (
    'two workers',
    'cells',
    'processor, s',
    'a cell alone, ms',
    'ratio',
    'a further cell, ratio',
    f'{RUNS:,} cells, ratio',
  )
  rows, spent = [], {}
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    config = folder / 'cells.py'
    for count in numbers:
      config.write_text(CONFIG.format(cells=count))
      spent['alone', count], _ = _spent(
        [[sys.executable, '-c', ALONE, f'--config={config}', f'--out={folder / f"alone-{count}"}']]
      )
      alone = spent['alone', count]
      for kind, commands in _workers(config).items():
        place = folder / f'{kind}-{count}'
        spent[kind, count] = _spent([[*words, f'--config={config}', f'--out={place}'] for words in commands])[1]
        assert len(list(place.glob('*/done.json'))) == count
    for kind in _workers(config):
      few, many = (spent[kind, count] for count in numbers)
      further = (many - few) / (numbers[1] - numbers[0])
      begun = few - numbers[0] * further
      whole = (begun + RUNS * further) / (RUNS * alone)
      ratios = (f'{many / (numbers[1] * alone):.2f}', f'{further / alone:.2f}', f'{whole:.2f}')
      rows.append((kind, numbers[1], f'{many:.1f}', f'{1e3 * alone:.0f}', *ratios))
  notes = [
    'Processor seconds of all processes, over those of the cells in one process that has its programs. The last column goes on '
    'along a straight line. A small cell is 4 members x 200 steps of a network of 16 units, with orbax, Parquet and fsync.'
  ]
  return Table('What a sweep costs beside its cells', header, rows, notes)


def looks(options: Options) -> Table:
  """`experiments.watch --once` and `analysis.export` over many runs."""
  rows, count = [], 50 if options.quick else RUNS
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    config, out = folder / 'cells.py', folder / 'out'
    config.write_text(CONFIG.format(cells=1))
    _spent([[sys.executable, '-m', 'experiments.run', f'--config={config}', f'--out={out}']])
    config.write_text(CONFIG.format(cells=count))
    _copies(config, out)
    export = ['analysis.export', f'--config={config}', '--probe=performance', f'--to={folder / "table.csv"}']
    for words in (['experiments.watch', '--once'], export):
      times = []
      for _ in range(min(options.rounds, 5)):
        began = time.perf_counter()
        _, processor = _spent([[sys.executable, '-m', *words, f'--out={out}']])
        times.append((time.perf_counter() - began, processor))
      rows.append((words[0], f'{count:,}', *(timing.spread(part) for part in np.array(times).T)))
  return Table('What a look at many runs takes', ('command', 'runs', 'seconds', 'processor, s'), rows, ['Imports included.'])


def _workers(config: pathlib.Path) -> dict[str, list[Sequence[str]]]:
  python = [sys.executable, '-m']
  return {
    'experiments.run, twice': [[*python, 'experiments.run', '--wait']] * 2,
    'experiments.sweep --launcher=process': [[*python, 'experiments.sweep', '--launcher=process', '--workers=2']],
  }


def _spent(commands: Sequence[Sequence[str]]) -> tuple[float, float]:
  """Runs commands side by side on a core each: the last number that the first of them prints, and their processor seconds."""
  before = resource.getrusage(resource.RUSAGE_CHILDREN)
  environment = {**os.environ, 'JAX_NUM_CPU_DEVICES': '1'}
  pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
  started = [subprocess.Popen(words, cwd=ROOT, env=environment, **pipes) for words in commands]
  ended = [process.communicate() for process in started]
  assert all(process.returncode == 0 for process in started), ended
  after = resource.getrusage(resource.RUSAGE_CHILDREN)
  last = next(reversed(ended[0][0].split()), '')  # a command may print nothing
  number = float(last) if last.replace('.', '', 1).isdigit() else float('nan')
  return number, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _copies(config: pathlib.Path, out: pathlib.Path) -> None:
  """The one run in `out` under the identities of all cells of the config: what a look reads does not depend on the numbers."""
  from dynamics import plan
  from experiments import config as configs

  (run,) = (path.parent for path in out.glob('*/run.json'))
  (table,) = (run / 'tables').iterdir()
  for cell in configs.cells(str(config)):
    copy = out / plan.identity(cell)
    if copy != run:
      shutil.copytree(run, copy)
      (copy / 'tables' / table.name).rename(copy / 'tables' / plan.table_identity(cell, 'performance'))
