"""How time, memory and bytes grow with members, cells and readings: tables that end with an exponent."""

import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

import jax
import numpy as np

from benchmarks import problems
from benchmarks.problems import SMALL
from benchmarks.scale import CONFIG, ROOT
from benchmarks.timing import Options, Table

STEPS = 20_000  # of the run with more and more readings
# In a small process: the peak of a child begins with the size of the process that starts it.
MEASURED = """
import resource, subprocess, sys

subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
"""


def members(options: Options) -> Table:
  """Training in one process, without a disk."""
  counts = (1, 2, 4, 8) if options.quick else (1, 4, 16, 64, 256, 1024)
  steps, series = 20 if options.quick else 50, []
  for count in counts:
    item = problems.subject(SMALL, count)
    state, frozen = item.start()
    state = item.advance(state, frozen, 0, 3)
    times = []
    for _ in range(3):
      began = time.process_time()
      state = jax.block_until_ready(item.advance(state, frozen, 3, 3 + steps))
      times.append(time.process_time() - began)
    held = sum(leaf.nbytes for leaf in jax.tree.leaves((state, frozen)))
    series.append((count, 1e3 * np.median(times) / steps, held / 1e6))
  header = ('members', 'processor, ms a step', 'MB of state and start')
  return _table('How training grows with members', header, series, ['The small problem, one device each core.'])


def cells(options: Options) -> Table:
  """`experiments.run` of more and more cells, in a process of its own."""
  counts = (1, 2, 4, 8) if options.quick else (5, 10, 20, 40, 80, 160)
  return _runs('cells', counts, lambda count: (count, []), ['The cells of the benchmark `cells`.'])


def readings(options: Options) -> Table:
  """`experiments.run` of one cell with more and more readings, in a process of its own."""
  counts = (5, 10, 20, 40) if options.quick else (10, 40, 160, 640, 2_560, 10_240)
  schedule = '--config.probes.performance.schedule'
  words = lambda count: [f'--config.steps={STEPS}', f'{schedule}.log_points=0', f'{schedule}.linear_points={count}']
  notes = [f'The probe `performance` in {STEPS:,} steps of one small cell of the benchmark `cells`, of 4 members.']
  return _runs('readings', counts, lambda count: (1, words(count)), notes)


def _runs(what: str, counts: Sequence[int], run, notes: Sequence[str]) -> Table:
  """What a command takes; `run` gives the number of cells and further words for a count."""
  series = []
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    config = folder / 'grown.py'
    for count in counts:
      number, words = run(count)
      config.write_text(CONFIG.format(cells=number))
      out = folder / str(count)
      command = [sys.executable, '-m', 'experiments.run', f'--config={config}', f'--out={out}', *words]
      seconds, peak = _measured(command)
      written = sum(path.stat().st_size for path in out.rglob('*') if path.is_file())
      series.append((count, seconds, peak, written / 1e6))
  header = (what, 'processor, s', 'peak memory, MiB', 'MB on disk')
  notes = [
    *notes,
    'Of the whole process: imports and compiling are in the first rows what the exponents of the last are without.',
  ]
  return _table(f'How a command grows with {what}', header, series, notes)


def _measured(words: Sequence[str]) -> tuple[float, float]:
  """Processor seconds and peak MiB of a command."""
  seconds, peak = subprocess.run(
    [sys.executable, '-c', MEASURED, *words], cwd=ROOT, stdout=subprocess.PIPE, check=True
  ).stdout.split()
  return float(seconds), float(peak)


def _table(title: str, header: Sequence[str], series: Sequence[Sequence[float]], notes: Sequence[str]) -> Table:
  """The series, and for each column b of a fit a count^b to the upper half of the counts."""
  upper = np.log(np.array(series[len(series) // 2 :]))
  slopes = [np.polyfit(upper[:, 0], column, 1)[0] for column in upper.T[1:]]
  rows = [(f'{count:,}', *(f'{value:,.4g}' for value in values)) for count, *values in series]
  return Table(title, header, [*rows, ('exponent', *(f'{slope:.2f}' for slope in slopes))], notes)
