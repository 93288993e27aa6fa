"""The engine: the same cells, to the same bits, whatever works on them and whoever dies."""

import concurrent.futures
import contextlib
import importlib.util
import itertools
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from experiments import launchers, share, sweep, work
from experiments.disk import Held, StoreError

TWO = "--config.sweep=(('model.bias',(True,False)),)"
LONG = (TWO, '--config.steps=60', '--config.probes.meters.on=False', '--save_every=0')
ROOT = pathlib.Path(__file__).parents[2]
BUSY = 300  # seconds until a test gives up


def runs(out):
  return sorted(path.parent for path in out.glob('*/done.json'))


@pytest.fixture(scope='module')
def inline(tmp_path_factory, start):
  """The folder of two cells, made in one process."""
  from tests.experiments.conftest import TINY

  place = tmp_path_factory.mktemp('inline')
  (place / 'tiny.py').write_text(TINY)
  ended = start('-m', 'experiments.sweep', f'--config={place / "tiny.py"}', *LONG, '--out', place / 'out')
  out, err = ended.communicate(timeout=BUSY)
  assert (ended.returncode, err) == (0, '')
  assert out.splitlines()[-1] == '2 cells, sources included: 2 made'
  return place / 'out'


def equal(out, inline, same):
  assert [folder.name for folder in runs(out)] == [folder.name for folder in runs(inline)]
  for folder in runs(out):
    same(folder, inline / folder.name)


def at_work(out, engine):
  """(folder, pid) of a cell that has been saved and is being worked on."""
  for _ in range(BUSY * 50):
    for folder in out.glob('*'):
      with contextlib.suppress(OSError, IndexError, ValueError):
        if len(list((folder / 'checkpoints').glob('*[0-9]'))) > 1 and not (folder / 'done.json').exists():
          return folder, int((folder / 'lock').read_text().split()[1])
    assert engine.poll() is None, engine.communicate()
    time.sleep(0.02)
  raise AssertionError('nothing is worked on')


def test_processes_make_the_bits_of_one_though_one_is_killed(tiny, tmp_path, start, inline, same):
  engine = start('-m', 'experiments.sweep', tiny, *LONG, '--out', tmp_path / 'out', '--launcher=process')
  try:
    folder, pid = at_work(tmp_path / 'out', engine)
    os.kill(pid, signal.SIGKILL)
    out, err = engine.communicate(timeout=BUSY)
    assert (engine.returncode, err) == (0, '')
  finally:
    engine.kill()
  assert f'{folder.name}: its process ended with SIGKILL; another goes on with it (1 of 3)' in out
  assert f'{folder.name} was held by pid {pid} on ' in out
  assert 'going on from step' in out
  assert out.splitlines()[-1] == '2 cells, sources included: 2 made'
  equal(tmp_path / 'out', inline, same)


@pytest.mark.slow
@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_or_lost_engine_costs_nothing(tiny, tmp_path, start, inline, same, number):
  """Workers whose engine is gone save and end."""
  words = ('-m', 'experiments.sweep', tiny, *LONG, '--out', tmp_path / 'out', '--launcher=process')
  engine = start(*words)
  folder, _ = at_work(tmp_path / 'out', engine)
  engine.send_signal(number)
  out = engine.communicate(timeout=BUSY)[0]
  if number == signal.SIGTERM:
    assert engine.returncode == 130
    assert out.splitlines()[-1].startswith('go on with: python -m experiments.sweep --config=')
  for _ in range(BUSY * 10):
    if not (folder / 'lock').read_text():  # ended in order
      break
    time.sleep(0.1)
  assert (folder / 'lock').read_text() == ''
  again = start(*words)
  out, err = again.communicate(timeout=BUSY)
  assert (again.returncode, err) == (0, '')
  equal(tmp_path / 'out', inline, same)


@pytest.mark.slow
@pytest.mark.parametrize('launcher', ['process', 'ray'])
def test_every_launcher_makes_the_bits_of_the_first(tiny, tmp_path, start, inline, same, launcher):
  if launcher == 'ray':
    pytest.importorskip('ray')
  engine = start('-m', 'experiments.sweep', tiny, *LONG, '--out', tmp_path / 'out', f'--launcher={launcher}')
  out, err = engine.communicate(timeout=BUSY)
  assert (engine.returncode, err) == (0, '')
  assert out.splitlines()[-1] == '2 cells, sources included: 2 made'
  equal(tmp_path / 'out', inline, same)


CLUSTER = """
import sys
from ray.cluster_utils import Cluster

cluster = Cluster(initialize_head=True, head_node_args=dict(num_cpus=0, include_dashboard=False, object_store_memory=80_000_000))
nodes = [cluster.add_node(num_cpus=1, object_store_memory=80_000_000) for _ in range(2)]
print(cluster.address, flush=True)
sys.stdin.readline()
cluster.remove_node(nodes[1], allow_graceful=False)
print('removed', flush=True)
sys.stdin.readline()
cluster.shutdown()
"""


@pytest.mark.slow
def test_a_node_of_a_ray_cluster_dies(tiny, tmp_path, start, environment, inline, same):
  pytest.importorskip('ray')
  quiet = {**environment, 'RAY_USAGE_STATS_ENABLED': '0', 'RAY_raylet_start_wait_time_s': '120'}
  pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
  cluster = subprocess.Popen([sys.executable, '-c', CLUSTER], env=quiet, **pipes)
  try:
    address = next(line.strip() for line in cluster.stdout if ':' in line and ' ' not in line.strip())
    words = (tiny, *LONG, '--out', tmp_path / 'out', '--launcher=ray', f'--address={address}')
    engine = start('-m', 'experiments.sweep', *words)
    at_work(tmp_path / 'out', engine)
    cluster.stdin.write('\n')
    cluster.stdin.flush()
    assert any(line.strip() == 'removed' for line in cluster.stdout)
    out, err = engine.communicate(timeout=BUSY)
    assert engine.returncode == 0, (out, err)
    assert 'which has died: taken over' in out
    equal(tmp_path / 'out', inline, same)
  finally:
    cluster.communicate('\n', timeout=60)


@pytest.fixture
def told(tiny, tmp_path, capsys):
  """Runs the engine in this process: (status, stdout, stderr)."""

  def call(*words):
    status = sweep.main([tiny, TWO, f'--out={tmp_path / "out"}', *words])
    return status, *capsys.readouterr()

  return call


def test_failures_keep_no_other_cell_back_and_are_told_in_a_table(told, tmp_path, capsys, monkeypatch):
  block = f"steps=4, init=dict(name='source'), source=dict(config={str(tmp_path / 'tiny.py')!r}),"
  (tmp_path / 'later.py').write_text((tmp_path / 'tiny.py').read_text().replace('steps=24,', block))
  held = itertools.count()

  def run_unit(unit, context):
    if unit.is_source or (unit.needs is None and not unit.cell.config['model']['bias']):
      raise StoreError('the disk is\nfull.') if unit.cell.config['model']['bias'] else ZeroDivisionError('an error of mine')
    if unit.needs is None and next(held) == 0:
      raise Held(tmp_path, 'pid 7 on moon')
    return work.Outcome(True, 0)

  monkeypatch.setattr(launchers, 'run_unit', run_unit)
  monkeypatch.setattr(share, 'PAUSE', 0.01)
  status, out, err = told()
  assert (status, err) == (3, '')
  assert ' held by pid 7 on moon\n' in out
  rows = out.splitlines()[-3:]
  assert rows[0] == '2 cells, sources included: 1 made, 1 failed'
  assert rows[1].split() == ['cell', 'run', 'why', 'it', 'failed']
  assert rows[2].startswith('  cell 2/2  ')
  assert rows[2].endswith('  ZeroDivisionError: an error of mine')
  assert sweep.main([f'--config={tmp_path / "later.py"}', f'--out={tmp_path / "out"}']) == 3
  rows = capsys.readouterr().out.splitlines()[-2:]
  assert [row.split('  ')[-1] for row in rows] == ['the disk is full.', 'its source failed']


def test_a_cell_that_kills_its_process_is_given_up(told, monkeypatch):
  given = []

  @contextlib.contextmanager
  def deadly(options, context, workers):
    def submit(unit):
      future = concurrent.futures.Future()
      given.append(unit.title)
      bad = unit.title == 'cell 1/2'
      future.set_result(launchers.Reply('died', 'its process ended with SIGSEGV') if bad else launchers.Reply('done'))
      return future

    yield launchers.Launcher(submit, lambda: None, 2, launchers.RETRIES)

  monkeypatch.setitem(launchers.LAUNCHERS, 'process', deadly)
  monkeypatch.setattr(sweep, '_leave_devices', lambda engine: None)
  status, out, _ = told('--launcher=process')
  assert status == 3
  assert given.count('cell 1/2') == 1 + launchers.RETRIES
  assert given.count('cell 2/2') == 1
  assert out.splitlines()[-1].endswith('its process ended with SIGSEGV')


@pytest.mark.parametrize(
  ('words', 'sentence'),
  [
    (['--launcher=slurm'], "--launcher is 'slurm'; it must be one of: inline, process, ray."),
    (['--workers=0'], "--workers is '0'; it must be a whole number of processes"),
    (['--workers'], "--workers is ''"),
    (['--address=auto'], '--address is of a Ray cluster, and the launcher is inline'),
    (['--cells=1/2'], '--cells is no argument here; '),
    (['--lanucher=ray'], '--lanucher is no argument here; did you mean --launcher?'),
    (['--config=/nowhere.py'], '/nowhere.py'),
    (['--out=gs://bucket'], '--out'),
  ],
)
def test_mistakes_are_sentences_before_anything_is_written(told, tmp_path, is_sentence, words, sentence):
  status, _, err = told(*words)
  assert status == 2
  assert is_sentence(err)
  assert sentence in err
  assert not (tmp_path / 'out').exists()


def test_without_ray_a_sentence(told, monkeypatch, is_sentence):
  real = importlib.util.find_spec
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name, *more: None if name == 'ray' else real(name, *more))
  monkeypatch.setattr(sweep, '_leave_devices', lambda engine: None)
  status, _, err = told('--launcher=ray')
  assert status == 2
  assert is_sentence(err)
  assert "pip install -e '.[sweep]'" in err


def test_several_configs_are_one_sweep_and_cells_that_they_share_are_made_once(tiny, tmp_path):
  (tmp_path / 'other.py').write_text((tmp_path / 'tiny.py').read_text().replace('widths=(4,)', 'widths=(3,)'))
  other = f'--config={tmp_path / "other.py"}'
  cells, commands, rest = sweep.read([tiny, other, tiny, '--config.steps=4', '--save_every=9'])
  assert [cell.config['model']['widths'] for cell in cells] == [(4,), (3,), (4,)]
  assert rest == ['--save_every=9']
  units = share.units(cells, commands=commands)
  assert [unit.title for unit in units] == ['cell 1/3', 'cell 2/3']
  assert units[1].command == f'python -m experiments.run {other} --config.steps=4 --save_every=9'


def test_help_loads_nothing_slow():
  code = "from experiments import sweep\nassert sweep.main(['--help']) == 0\nimport sys\n"
  code += "print([m for m in ('jax', 'ray', 'orbax') if m in sys.modules])"
  done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True, cwd=ROOT)
  assert done.stdout.splitlines()[-1] == '[]'
