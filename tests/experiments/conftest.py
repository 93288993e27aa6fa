"""Tiny runs: a config file in a temporary folder, commands in this process and in real ones, one cache of programs."""

import os
import pathlib
import subprocess
import sys

import duckdb
import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

ROOT = pathlib.Path(__file__).parents[2]

TINY = """
import ml_collections


def get_config():
  return ml_collections.ConfigDict(
    dict(
      data=dict(name='modular', p=5),
      model=dict(name='mlp', widths=(4,)),
      loss=dict(name='cross_entropy'),
      optimizer=dict(name='adamw'),
      hyper=dict(lr=0.01),
      steps=24,
      seeds=(0, 1),
      own_data=True,
      schedule=dict(log_points=0, stride=2),
      probes=dict(performance=dict(), meters=dict()),
    )
  )
"""

# Sends this process a signal before or after the n-th call of a function, so that the moment is the same each time.
AT = """
import os, sys
from experiments import cores

cores.spread()
from experiments import run, store, tables
from dynamics import train

owner, name, n, when, number = eval(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4], int(sys.argv[5])
real, calls = getattr(owner, name), [0]

def call(*args, **kwargs):
  calls[0] += 1
  if calls[0] == n and when == 'before':
    os.kill(os.getpid(), number)
  out = real(*args, **kwargs)
  if calls[0] == n and when == 'after':
    os.kill(os.getpid(), number)
  return out

setattr(owner, name, call)
sys.exit(run.main(sys.argv[6:]))
"""


@pytest.fixture(scope='session')
def programs(tmp_path_factory):
  """A folder for compiled programs, shared by the workers of a session."""
  base = tmp_path_factory.getbasetemp()
  return (base.parent if 'PYTEST_XDIST_WORKER' in os.environ else base) / 'programs'


@pytest.fixture(scope='package', autouse=True)
def _cached(programs):
  """Runs in this process leave no cache folder behind in the settings of other tests."""
  before = jax.config.jax_persistent_cache_min_compile_time_secs
  jax.config.update('jax_compilation_cache_dir', str(programs / 'here'))
  jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.0)
  yield
  jax.config.update('jax_compilation_cache_dir', None)
  jax.config.update('jax_persistent_cache_min_compile_time_secs', before)


@pytest.fixture(autouse=True)
def _users_ranks():
  """Biases broadcast in flax: the strict ranks of the library's tests are not the users' world."""
  with jax.numpy_rank_promotion('allow'):
    yield


@pytest.fixture
def tiny(tmp_path):
  """--config=FILE of a tiny run of 24 steps, two members and two probes."""
  path = tmp_path / 'tiny.py'
  path.write_text(TINY)
  return f'--config={path}'


@pytest.fixture(scope='session')
def environment(programs):
  settings = {'JAX_COMPILATION_CACHE_DIR': str(programs / 'alone'), 'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0'}
  return {**{k: v for k, v in os.environ.items() if k != 'XLA_FLAGS'}, **settings}


@pytest.fixture(scope='session')
def start(environment):
  """Starts python in a process of its own."""

  def launch(*words):
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return subprocess.Popen([sys.executable, *map(str, words)], cwd=ROOT, env=environment, **pipes)

  return launch


@pytest.fixture(scope='session')
def command(start):
  """Runs `python -m experiments.run` to its end: (status, stdout, stderr)."""
  return lambda *words: _ended(start('-m', 'experiments.run', *words))


@pytest.fixture(scope='session')
def signalled(start):
  """The same, with a signal before or after the n-th call of a function: (owner, name, n, when, signal), then words."""
  return lambda moment, *words: _ended(start('-c', AT, *moment, *words))


def _ended(process):
  out, err = process.communicate(timeout=300)
  return process.returncode, out, err


@pytest.fixture(scope='session')
def whole(tmp_path_factory, command):
  """The folder of the tiny run, never interrupted."""
  folder = tmp_path_factory.mktemp('whole')
  (folder / 'tiny.py').write_text(TINY)
  status, _, err = command(f'--config={folder / "tiny.py"}', '--out', folder / 'out', '--save_every', 0)
  assert status == 0, err
  return only(folder / 'out')


def only(out):
  """The one run in a folder of results."""
  (folder,) = [path for path in out.iterdir() if (path / 'lock').is_file()]
  return folder


@pytest.fixture(scope='session', name='only')
def _only():
  return only


@pytest.fixture(scope='session')
def same():
  """Asserts that two finished runs hold the same rows and the same last state, bit for bit."""

  def check(one, other):
    assert (one / 'done.json').is_file()
    probes = sorted(path.name for path in (one / 'tables').iterdir())
    assert probes == sorted(path.name for path in (other / 'tables').iterdir())
    for probe in probes:
      a, b = table(one / 'tables' / probe), table(other / 'tables' / probe)
      assert list(a) == list(b)
      for name in a:
        np.testing.assert_array_equal(np.ma.getmaskarray(a[name]), np.ma.getmaskarray(b[name]), err_msg=name)
        assert np.ma.filled(a[name], 0).tobytes() == np.ma.filled(b[name], 0).tobytes(), name
    a, b = leaves(one), leaves(other)
    assert a.keys() == b.keys()
    for name in a:
      assert a[name].dtype == b[name].dtype
      assert a[name].tobytes() == b[name].tobytes(), name

  return check


def table(folder):
  """All rows of a probe, read as a stranger would: by duckdb, over all files of the folder."""
  with duckdb.connect() as connection:
    return connection.execute(f"SELECT * FROM '{folder}/*.parquet' ORDER BY step, member").fetchnumpy()


@pytest.fixture(scope='session', name='table')
def _table():
  return table


def leaves(folder):
  """The last checkpoint, read without the store."""
  step = max(int(path.name) for path in (folder / 'checkpoints').iterdir())
  with ocp.PyTreeCheckpointer() as reader:
    return reader.restore((folder / 'checkpoints' / str(step) / 'state').absolute())
