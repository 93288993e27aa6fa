"""Several processes that run one program, with one device each: the numbers of one process with as many devices, and one end."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from dynamics import parallel
from dynamics.schema import ConfigError
from experiments import checkpoints, processes
from experiments.disk import Held, StoreError
from tests.experiments.conftest import ROOT, only, same_rows, table

FOUR = '--config.seeds=(0,1,2,3)'
LONG = ('--config.steps=3000', '--config.schedule.stride=300')


@pytest.mark.parametrize(
  'text', ['', 'two', '0/2@h:1', '3/2@h:1', '1/2', '1/2@h', '1/2@:1', '1/2@h:x', '1/2@h:65536', '1/2/3@h:1']
)
def test_what_names_no_process_is_refused(text):
  with pytest.raises(ConfigError, match='must be'):
    processes.parse(text)


def test_a_process_is_counted_from_one_and_the_library_counts_from_nought():
  assert processes.parse('2/4@10.0.0.1:8476') == (1, 4, '10.0.0.1:8476')
  assert processes.parse('auto') == 'auto'


class Store:
  """A key-value store of threads, with the methods of jax's client that an exchange needs."""

  def __init__(self):
    import threading

    self.values, self.changed = {}, threading.Condition()

  def key_value_set(self, key, value):
    with self.changed:
      self.values[key] = value
      self.changed.notify_all()

  def blocking_key_value_get(self, key, timeout):
    with self.changed:
      if not self.changed.wait_for(lambda: key in self.values, 60):
        raise RuntimeError('DEADLINE_EXCEEDED, as often as it is asked')
      return self.values[key]

  def key_value_delete(self, key):
    with self.changed:
      for name in [name for name in self.values if name == key or name.startswith(f'{key}/')]:
        del self.values[name]


def together(act, count=3):
  """What `act(group)` gives in each of several threads that stand for processes, and the store that they used."""
  from concurrent.futures import ThreadPoolExecutor

  store = Store()
  with ThreadPoolExecutor(count) as pool:
    return list(pool.map(lambda i: act(processes.Group(i, count, store)), range(count))), store


def test_all_hear_what_the_first_decides_from_the_values_of_all_and_no_key_is_left_behind():
  def act(group):
    calls = []
    first = group.agreed(lambda: calls.append(1) or group.agreed(lambda: [group.index]))  # a decision within a decision
    return first, len(calls), group.gathered(group.index), [group.any(group.index == 2) for _ in range(20)][-1]

  answers, store = together(act)
  assert answers == [([0], int(i == 0), [0, 1, 2], True) for i in range(3)]
  assert {key.split('/')[1] for key in store.values} <= {'21', '22'}


@pytest.mark.parametrize('error', [ConfigError('a mistake.'), StoreError('a full disk.'), Held('folder', 'pid 1 on host')])
def test_an_error_of_the_first_is_one_of_all(error):
  def fail():
    raise error

  def act(group):
    with pytest.raises(type(error)) as raised:
      group.agreed(fail)
    return str(raised.value), getattr(raised.value, 'holder', None)

  assert together(act)[0] == [(str(error), getattr(error, 'holder', None))] * 3


class Device(tuple):
  """(number, process) of a device that is not there."""

  process_index = property(lambda self: self[1])


@pytest.mark.parametrize(
  ('members', 'data', 'hosts', 'each', 'rows'),
  [(8, 1, 2, 4, 8), (4, 1, 2, 4, 4), (6, 1, 3, 4, 6), (3, 2, 3, 4, 3), (2, 4, 4, 2, 2)],
)
def test_every_process_has_equally_many_devices_of_a_mesh(members, data, hosts, each, rows, monkeypatch):
  monkeypatch.setattr(parallel, 'Mesh', lambda grid, *args, **kwargs: grid)
  devices = np.empty(hosts * each, object)
  devices[:] = [Device((i, i // each)) for i in range(hosts * each)]
  monkeypatch.setattr(parallel.np, 'array', lambda lists: np.asarray([d[0] for host in lists for d in host]))
  numbers = parallel.mesh(members, data, list(devices))
  assert numbers.shape == (rows, data)
  assert len(set(np.bincount(numbers.ravel() // each, minlength=hosts))) == 1


def test_members_that_cannot_be_spread_over_all_processes_are_refused(monkeypatch):
  with pytest.raises(ValueError, match='3 members cannot be spread evenly over 2 processes'):
    parallel.mesh(3, 1, [Device((i, i)) for i in range(2)])


# ---- real processes ---------------------------------------------------------------------------------------------


def port():
  with socket.socket() as probe:
    probe.bind(('127.0.0.1', 0))
    return probe.getsockname()[1]


@pytest.fixture
def group(programs):
  """Starts N processes with one device each; whatever is left of them at the end of a test is killed."""
  with contextlib.ExitStack() as stack:

    def launch(count, *words, devices=1):
      environment = {**os.environ, 'JAX_NUM_CPU_DEVICES': str(devices), 'JAX_COMPILATION_CACHE_DIR': str(programs)}
      address = f'127.0.0.1:{port()}'
      each = [[f'--processes={i + 1}/{count}@{address}'] if count > 1 else [] for i in range(count)]
      command = [sys.executable, '-m', 'experiments.run', *map(str, words)]
      pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
      members = [subprocess.Popen(command + more, cwd=ROOT, env=environment, **pipes) for more in each]
      for member in members:
        stack.callback(member.wait)
        stack.callback(member.kill)
      return members

    yield launch


def ended(members):
  """[(status, stdout, stderr)]"""
  said = [member.communicate(timeout=500) for member in members]
  return [(member.returncode, *words) for member, words in zip(members, said, strict=True)]


def good(members):
  results = ended(members)
  assert [(status, err) for status, _, err in results] == [(0, '')] * len(members), results
  return results


def state(folder):
  """The last checkpoint, every byte checked."""
  place = checkpoints.Folder(folder / 'checkpoints', (), print)
  leaves = place.notes(place.steps()[0])['leaves']
  return place.arrays(place.steps()[0], leaves, leaves)


def saved(out, members):
  """Waits until the processes have a checkpoint."""
  while not list(out.glob('*/checkpoints/*[0-9]/_CHECKPOINT_METADATA')):
    assert all(member.poll() is None for member in members), ended(members)
    time.sleep(0.1)


def equal(one, other):
  assert sorted(path.name for path in (one / 'tables').iterdir()) == sorted(path.name for path in (other / 'tables').iterdir())
  for probe in (one / 'tables').iterdir():
    same_rows(probe, other / 'tables' / probe.name)
  jax.tree.map(np.testing.assert_array_equal, state(one), state(other))


def close(one, other, until):
  """To rounding, which grows as training goes on: up to a step."""
  for probe in (one / 'tables').iterdir():
    a, b = table(probe), table(other / 'tables' / probe.name)
    assert list(a) == list(b)
    early = a['step'] <= until
    assert early.sum() > 4
    for name in a:
      np.testing.assert_allclose(a[name][early], b[name][early], rtol=1e-3, atol=1e-5, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize('count', [2, 4])
def test_processes_make_the_bits_of_one_with_as_many_devices(tiny, tmp_path, group, count):
  words = (tiny, FOUR, '--save_every=0')
  good(group(1, *words, '--out', tmp_path / 'one', devices=count))
  first, *others = good(group(count, *words, '--out', tmp_path / 'all'))
  assert 'done in' in first[1]
  assert not any('done in' in out for _, out, _ in others)
  equal(only(tmp_path / 'all'), only(tmp_path / 'one'))
  parts = [path.stem.split('-')[-1] for path in only(tmp_path / 'all').glob('tables/*/*.parquet')]
  assert {parts.count(share) for share in parts} == {len(parts) // count}
  assert set(parts) == {str(i) for i in range(count)}


@pytest.mark.slow
def test_processes_that_share_a_batch_make_the_bits_of_one_with_two_devices(tiny, tmp_path, group):
  words = (tiny, '--config.seeds=(0,)', '--config.data_parallel=2', '--config.batch.size=4', '--save_every=0')
  good(group(1, *words, '--out', tmp_path / 'one', devices=2))
  good(group(2, *words, '--out', tmp_path / 'all'))
  equal(only(tmp_path / 'all'), only(tmp_path / 'one'))


@pytest.mark.slow
@pytest.mark.parametrize('victim', [0, 1])
def test_a_killed_process_ends_the_other_in_a_sentence_and_the_run_resumes(tiny, tmp_path, group, victim, is_sentence):
  words = (tiny, FOUR, *LONG, '--save_every=0')
  good(group(1, *words, '--out', tmp_path / 'one', devices=2))
  members = group(2, *words, '--out', tmp_path / 'all')
  saved(tmp_path / 'all', members)
  members[victim].send_signal(signal.SIGKILL)
  status, _, err = ended(members)[1 - victim]
  assert status == processes.LOST, err
  assert is_sentence(err)
  assert f'process {victim + 1}/2 has ended' in err
  assert 'going on from step' in good(group(2, *words, '--out', tmp_path / 'all'))[0][1]
  equal(only(tmp_path / 'all'), only(tmp_path / 'one'))


@pytest.mark.slow
def test_a_signal_to_one_stops_all_at_one_step_and_another_number_of_processes_goes_on(tiny, tmp_path, group):
  words = (tiny, FOUR, *LONG, '--save_every=0')
  good(group(1, *words, '--out', tmp_path / 'one', devices=1))
  members = group(2, *words, '--out', tmp_path / 'all')
  saved(tmp_path / 'all', members)
  members[1].send_signal(signal.SIGTERM)
  stopped = ended(members)
  assert [status for status, _, _ in stopped] == [130, 130], stopped
  assert 'all saved' in stopped[0][1]
  first = good(group(4, *words, '--out', tmp_path / 'all'))[0]
  assert 'going on from step' in first[1]
  assert 'only to rounding' in first[1]
  close(only(tmp_path / 'all'), only(tmp_path / 'one'), until=600)


@pytest.mark.slow
def test_a_probe_that_is_added_is_read_by_processes_to_the_same_bits(tiny, tmp_path, group):
  words = (tiny, FOUR, '--save_every=0')
  good(group(1, *words, '--out', tmp_path / 'one', devices=2))
  good(group(2, *words, '--config.probes.meters.on=False', '--out', tmp_path / 'all'))
  assert 'reading meters' in good(group(2, *words, '--out', tmp_path / 'all'))[0][1]
  one, other = only(tmp_path / 'one'), only(tmp_path / 'all')
  for probe in (one / 'tables').iterdir():
    same_rows(probe, other / 'tables' / probe.name)


@pytest.mark.slow
def test_what_processes_cannot_do_together_is_told_in_a_sentence(tiny, tmp_path, group):
  for words, text in [(['--config.seeds=(0,1,2)'], 'cannot be spread evenly'), (['--log=tensorboard'], 'does not go with')]:
    for status, _, err in ended(group(2, tiny, '--out', tmp_path / 'out', *words)):
      assert status == 2, err
      assert text in err
      assert 'Traceback' not in err
