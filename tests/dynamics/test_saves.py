"""A run in memory that is saved: killed at any moment it goes on to the same bits, and nothing else goes on with it."""

import os
import pathlib
import shutil
import signal
import subprocess
import sys

import chex
import jax
import numpy as np
import pandas as pd
import pytest
from jax.experimental.compilation_cache import compilation_cache

from dynamics import optim, saves, train

ROOT = pathlib.Path(__file__).parents[2]
STEPS = 12

# The same study in a process of its own, killed after it has saved for the third time.
KILLED = """
import os, signal, sys
sys.path.insert(0, '.')
from tests.dynamics import conftest as cases
from dynamics import saves, train

written, real = [], saves.write
def write(*arguments):
  real(*arguments)
  written.append(1)
  if len(written) == 3:
    os.kill(os.getpid(), signal.SIGKILL)

saves.write = write
study = cases.study('linear', ('performance', 'meters'), steps=12, times=(0, 3, 9, 12), batch=5)
train.run(study, (0, 1), {'lr': (0.03, 0.05)}, save=sys.argv[1], save_every=0)
"""


@pytest.fixture(scope='module', autouse=True)
def programs(tmp_path_factory):
  """The same programs are compiled once, also for other processes."""
  words = {
    'jax_compilation_cache_dir': str(tmp_path_factory.mktemp('programs')),
    'jax_persistent_cache_min_compile_time_secs': 0.0,
  }
  before = {name: getattr(jax.config, name) for name in words}
  compilation_cache.reset_cache()  # which keeps the folder of its first use
  for name, value in words.items():
    jax.config.update(name, value)
  yield {name.upper(): str(value) for name, value in words.items()}
  compilation_cache.reset_cache()
  for name, value in before.items():
    jax.config.update(name, value)


@pytest.fixture(scope='module')
def study(cases):
  return cases.study('linear', ('performance', 'meters'), steps=STEPS, times=(0, 3, 9, STEPS), batch=5)


def run(study, save=None, seeds=(0, 1), lr=(0.03, 0.05), **choices):
  return train.run(study, seeds, {'lr': lr}, save=save, save_every=0, quiet=True, **choices)


@pytest.fixture(scope='module')
def whole(study):
  return run(study)


@pytest.fixture(scope='module')
def finished(study, tmp_path_factory):
  folder = tmp_path_factory.mktemp('saved') / 'run'
  run(study, folder)
  return folder


def same(a, b):
  chex.assert_trees_all_equal(jax.device_get((a.state, a.frozen)), jax.device_get((b.state, b.frozen)))
  for probe in a.tables:
    pd.testing.assert_frame_equal(a.tables[probe], b.tables[probe], check_exact=True)
    assert a.arrays[probe].identical(b.arrays[probe])


def test_a_killed_run_goes_on_to_the_bit_in_another_process(study, whole, tmp_path, programs):
  folder, environment = tmp_path / 'run', {**os.environ, **programs}
  killed = subprocess.run([sys.executable, '-c', KILLED, folder], cwd=ROOT, env=environment, capture_output=True, check=False)
  assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
  (file,) = folder.glob('step-*.npz')
  assert 0 < int(file.stem.partition('-')[2]) < STEPS
  same(run(study, folder), whole)


def test_a_fingerprint_does_not_depend_on_what_was_traced_before():
  def program(between):
    def double(x):
      y = jax.nn.relu(x)
      between()
      return y + jax.nn.relu(2 * x)

    return double

  print_of = lambda between, x: saves.fingerprint([(program(between), (x,))], {})['study']
  x = jax.numpy.ones(3)
  same = print_of(lambda: None, x)
  assert print_of(jax.clear_caches, x) == same  # the second relu is another object then
  assert print_of(lambda: None, jax.numpy.ones(4)) != same
  assert saves.fingerprint([(lambda x: jax.nn.relu(x) + jax.nn.relu(3 * x), (x,))], {})['study'] != same


@pytest.mark.parametrize('moment', ['arrays', 'notes'])
def test_a_kill_while_saving_leaves_the_save_before(study, whole, tmp_path, monkeypatch, moment):
  """The disk fails at the second save, on either file."""
  calls, real = [], os.fsync

  def fsync(handle):
    calls.append(handle)
    if len(calls) == {'arrays': 3, 'notes': 4}[moment]:
      raise OSError(28, 'No space left on device')
    real(handle)

  monkeypatch.setattr(saves.os, 'fsync', fsync)
  with pytest.raises(OSError, match=r'save: .* cannot be used \(No space left on device\)'):
    run(study, tmp_path)
  assert not list(tmp_path.glob('*.tmp'))
  same(run(study, tmp_path), whole)


def test_a_finished_run_is_read_and_nothing_is_written(study, whole, finished):
  before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in finished.iterdir()}
  same(run(study, finished), whole)
  assert before == {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in finished.iterdir()}
  assert len(before) == 2


def test_another_run_in_the_folder_is_refused(cases, study, finished):
  other = cases.study('linear', ('performance', 'meters'), steps=STEPS, times=(0, 3, 9, STEPS), batch=4)
  slower = cases.study(
    'linear',
    ('performance', 'meters'),
    steps=STEPS,
    times=(0, 3, 9, STEPS),
    batch=5,
    optimizer=lambda lr: optim.momentum(lr=lr / 2),
  )
  drawn = cases.case('linear').task.draw(jax.random.key(7))

  def on_other_data(hyper, source):
    problem = study.problem(hyper, source)
    return problem._replace(task=problem.task._replace(draw=lambda key: drawn))

  for call, part in (
    (lambda: run(other, finished), 'study'),
    (lambda: run(slower, finished), 'study'),
    (lambda: run(study._replace(problem=on_other_data), finished), 'data'),
    (lambda: run(study._replace(steps=STEPS + 1), finished), 'times'),
    (lambda: run(study, finished, seeds=(0, 2)), 'seeds'),
    (lambda: run(study, finished, lr=0.03), 'hyper values'),
  ):
    with pytest.raises(ValueError, match=f'holds a run that differs in its {part}: give save another folder'):
      call()


@pytest.mark.parametrize('name', ['save.json', f'step-{STEPS:09d}.npz'])
def test_damage_is_a_sentence(study, finished, tmp_path, name):
  folder = shutil.copytree(finished, tmp_path / 'run')
  raw = bytearray((folder / name).read_bytes())
  raw[len(raw) // 2] ^= 1
  (folder / name).write_bytes(raw)
  with pytest.raises(ValueError, match=rf'{name} .*: remove .* to begin again'):
    run(study, folder)


def test_a_folder_that_is_a_file_is_a_sentence(study, tmp_path):
  (tmp_path / 'file').write_text('a letter')
  with pytest.raises(OSError, match=r'save: .*file cannot be used'):
    run(study, tmp_path / 'file')


def test_half_precision_comes_back_with_its_type(tmp_path):
  state = (jax.numpy.arange(6, dtype='bfloat16').reshape(2, 3), np.arange(2, dtype=np.int32))
  event = train.Event(3, state, {}, {}, ())
  log = saves.Log(None, {}, {})
  saves.write(tmp_path, {}, event, log)
  step, restored, _ = saves.read(tmp_path, {}, jax.eval_shape(lambda: (state, ())), log)
  assert step == 3
  chex.assert_trees_all_equal_shapes_and_dtypes(restored, jax.device_get(state))
  chex.assert_trees_all_equal(restored, jax.device_get(state))
