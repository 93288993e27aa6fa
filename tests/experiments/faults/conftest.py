"""What the checks of faults share: configs of four kinds of runs, processes that are struck at a random moment, a tally."""

import os
import pathlib
import shutil
import subprocess
import sys
import time
from typing import NamedTuple

import pytest

from tests.experiments.conftest import ROOT, TINY

HALVED = """
import jax
from dynamics import types


def halved():
  half = lambda view, key: ({**view.variables, 'params': jax.tree.map(lambda p: p / 2, view.variables['params'])}, view.opt_state)
  return types.Intervention(half)
"""
INTERVENTIONS = "interventions={'half': {'name': 'halved_weights:halved', 'schedule': {'at': (4, 8, 12, 16, 20)}}},"
SOURCE = "init=dict(name='source'), source=dict(config={!r}),"
# The same command, but a lease without a sign of life is taken over after 3 s instead of a minute.
SOON = """
import sys
from experiments import cores

cores.spread()
from experiments import command, lease, mirror, run

mirror.Mirror.__init__.__defaults__ = (lease.Pace(beat=0.5, stale=3.0, settle=0.2),)
sys.exit(command.run(run.main, sys.argv[1:]))
"""
KINDS = ('alone', 'with a mirror', 'with interventions', 'from a source')


@pytest.fixture
def tally(record_property):
  """A function (fault) -> context: counts what was done, and that nothing failed after it. `make faults` adds the counts up."""
  counts = {}

  class Tally(NamedTuple):
    fault: str

    def __enter__(self):
      times, right = counts.get(self.fault, (0, 0))
      counts[self.fault] = (times + 1, right)

    def __exit__(self, kind, *_):
      times, right = counts[self.fault]
      counts[self.fault] = (times, right + (kind is None)) if kind is not KeyboardInterrupt else (times - 1, right)

  yield Tally
  for fault, (times, right) in ((fault, count) for fault, count in counts.items() if count[0]):
    record_property('fault', f'{times} {right} {fault}')


class Process(NamedTuple):
  """A command in a process of its own, whose output goes to files, because pipes can fill while nobody reads."""

  popen: subprocess.Popen
  place: pathlib.Path

  def used(self) -> float:
    """Seconds of processor time so far: a measure of how far it is that does not depend on what else the machine does."""
    try:
      fields = pathlib.Path('/proc', str(self.popen.pid), 'stat').read_text().rsplit(')', 1)[1].split()
    except OSError:
      return float('inf')
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')

  def reach(self, seconds: float) -> bool:
    """Waits until it has used so much; False where it has ended before."""
    while self.popen.poll() is None and self.used() < seconds:
      time.sleep(0.003)
    return self.popen.poll() is None

  def strike(self, number: int) -> None:
    if self.popen.poll() is None:
      self.popen.send_signal(number)

  def ended(self) -> tuple[int, str, str]:
    status = self.popen.wait(timeout=600)
    return status, (self.place / 'out.txt').read_text(), (self.place / 'err.txt').read_text()


@pytest.fixture
def begin(environment, tmp_path):
  """Starts `python -m experiments.run`. A process that is left over when a test ends is killed."""
  begun = []

  def launch(*words):
    place = tmp_path / f'process-{len(begun)}'
    place.mkdir()
    variables = {**environment, 'PYTHONPATH': str(tmp_path)}
    with (place / 'out.txt').open('w') as out, (place / 'err.txt').open('w') as err:
      how = ('-c', SOON) if any('--mirror' in str(word) for word in words) else ('-m', 'experiments.run')
      words = [sys.executable, *how, *map(str, words)]
      begun.append(Process(subprocess.Popen(words, cwd=ROOT, env=variables, stdout=out, stderr=err), place))
    return begun[-1]

  yield launch
  for process in begun:
    if process.popen.poll() is None:
      process.popen.kill()
      process.popen.wait()


@pytest.fixture(scope='session')
def lone(tmp_path_factory, environment):
  """kind -> (the folder of results of a run of this kind that was left alone, the processor time that it took)."""
  made = {}

  def make(kind):
    if kind not in made:
      folder = tmp_path_factory.mktemp('lone')
      seconds = []
      for name in ('first', 'second'):  # the second one finds all programs compiled, as those that are struck do
        words = [*write(folder, kind, folder / name), '--out', folder / name]
        before = os.times()
        variables = {**environment, 'PYTHONPATH': str(folder)}
        ended = subprocess.run(
          [sys.executable, '-m', 'experiments.run', *map(str, words)], cwd=ROOT, env=variables, capture_output=True, check=False
        )
        assert (ended.returncode, ended.stderr) == (0, b'')
        after = os.times()
        seconds.append(after.children_user + after.children_system - before.children_user - before.children_system)
      shutil.rmtree(folder / 'second')
      made[kind] = folder / 'first', seconds[-1]
    return made[kind]

  return make


def write(place, kind, store):
  """Words of a command for a run of this kind; its files lie in `place`, its mirror beside `store`."""
  (place / 'halved_weights.py').write_text(HALVED)
  (place / 'tiny.py').write_text(TINY)
  later = {'with interventions': INTERVENTIONS, 'from a source': SOURCE.format(str(place / 'tiny.py'))}
  (place / 'struck.py').write_text(TINY.replace('steps=24,', f'steps=24, {later.get(kind, "")}'))
  words = (f'--config={place / "struck.py"}', '--save_every=0')
  return (*words, f'--mirror=file://{store}-mirror') if kind == 'with a mirror' else words


def runs(out):
  return sorted(path.parent for path in out.glob('*/run.json'))


@pytest.fixture
def equal(same):
  """Asserts that two folders of results hold the same finished runs, to the bit."""

  def check(one, other):
    assert [folder.name for folder in runs(one)] == [folder.name for folder in runs(other)]
    for folder in runs(one):
      same(folder, other / folder.name)
      assert not (folder / 'damaged').exists()

  return check
