"""Tiny runs: a config file in a temporary folder, commands in this process and in real ones, one cache of programs."""

import os
import pathlib
import shutil
import subprocess
import sys
from typing import NamedTuple

import chex
import duckdb
import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

from experiments import run

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
from experiments import checkpoints, disk, run, store, tables, work
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
  """A folder for compiled programs, shared by the workers and the processes of a session."""
  base = tmp_path_factory.getbasetemp()
  return (base.parent if 'PYTEST_XDIST_WORKER' in os.environ else base) / 'programs'


@pytest.fixture(scope='session', autouse=True)
def _cached(programs):
  jax.config.update('jax_compilation_cache_dir', str(programs))
  jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.0)


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
  """As many devices as here, so that processes share the compiled programs of this one."""
  return {**os.environ, 'JAX_COMPILATION_CACHE_DIR': str(programs), 'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0'}


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
def whole(tmp_path_factory):
  """The folder of the tiny run, never interrupted, saved after every stretch of steps."""
  folder = tmp_path_factory.mktemp('whole')
  (folder / 'tiny.py').write_text(TINY)
  with jax.numpy_rank_promotion('allow'):
    assert run.main([f'--config={folder / "tiny.py"}', f'--out={folder / "out"}', '--save_every=0']) == 0
  return only(folder / 'out')


@pytest.fixture
def copy(whole, tmp_path):
  """A copy of the tiny run, to go on with and to harm: --out=tmp_path/out holds it."""
  shutil.copytree(whole.parent, tmp_path / 'out', ignore=shutil.ignore_patterns('.programs'))
  return only(tmp_path / 'out')


class Said(NamedTuple):
  """What a command wrote."""

  out: str
  err: str


@pytest.fixture
def go(tiny, tmp_path, capsys):
  """Runs a command in this process, on the tiny config and tmp_path/out where it names no others: (out, err)."""

  def call(*words, status=0, config=tiny):
    capsys.readouterr()
    named = any(word.startswith('--config=') for word in words)
    ended = run.main([*([] if named else [config]), f'--out={tmp_path / "out"}', *words])
    said = Said(*capsys.readouterr())
    assert ended == status, said
    assert status or said.err == ''
    assert not said.err or is_sentence(said.err)
    return said

  return call


def is_sentence(err):
  assert err.startswith('error: '), err
  assert err.count('\n') == 1, err
  assert err.endswith('.\n'), err
  return True


@pytest.fixture(scope='session', name='is_sentence')
def _is_sentence():
  return is_sentence


def only(out):
  """The one run in a folder of results."""
  (folder,) = [path for path in out.iterdir() if (path / 'lock').is_file()]
  return folder


@pytest.fixture(scope='session', name='only')
def _only():
  return only


@pytest.fixture(scope='session')
def stamps():
  """path -> (bytes, time of change) of every file of a folder, without lock and run.json, which every command touches."""

  def look(folder):
    files = [path for path in folder.rglob('*') if path.is_file() and path.name not in ('lock', 'run.json')]
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}

  return look


@pytest.fixture(scope='session')
def flip():
  """Changes one bit in the middle of a file."""

  def change(path, place=0.5):
    raw = bytearray(path.read_bytes())
    raw[int(len(raw) * place)] ^= 1
    path.write_bytes(raw)

  return change


@pytest.fixture(scope='session')
def same():
  """Asserts that two finished runs hold the same rows and the same last state, bit for bit."""

  def check(one, other):
    assert (one / 'done.json').is_file()
    probes = sorted(path.name for path in (one / 'tables').iterdir())
    assert probes == sorted(path.name for path in (other / 'tables').iterdir())
    for probe in probes:
      same_rows(one / 'tables' / probe, other / 'tables' / probe)
    chex.assert_trees_all_equal_shapes_and_dtypes(leaves(one), leaves(other))
    chex.assert_trees_all_equal(leaves(one), leaves(other))

  return check


def same_rows(one, other):
  a, b = table(one), table(other)
  assert list(a) == list(b)
  for name in a:
    np.testing.assert_array_equal(np.ma.getmaskarray(a[name]), np.ma.getmaskarray(b[name]), err_msg=name)
    assert np.ma.filled(a[name], 0).tobytes() == np.ma.filled(b[name], 0).tobytes(), name


@pytest.fixture(scope='session', name='same_rows')
def _same_rows():
  return same_rows


@pytest.fixture(scope='session', name='leaves')
def _leaves():
  return leaves


def table(folder):
  """All rows of a probe, read as a stranger would: by duckdb, over all files of the folder."""
  quoted = str(folder).replace("'", "''")
  with duckdb.connect() as connection:
    return connection.execute(f"SELECT * FROM '{quoted}/*.parquet' ORDER BY step, member").fetchnumpy()


@pytest.fixture(scope='session', name='table')
def _table():
  return table


def leaves(folder, step=None):
  """The last checkpoint, or that of a step, read without the store; without what probes carry."""
  step = max(int(path.name) for path in (folder / 'checkpoints').iterdir()) if step is None else step
  with ocp.PyTreeCheckpointer() as reader:
    arrays = reader.restore((folder / 'checkpoints' / str(step) / 'state').absolute())
  return {name: leaf for name, leaf in arrays.items() if not name.startswith('probes')}
