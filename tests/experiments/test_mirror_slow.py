"""Mirrors in real processes, killed while something goes up."""

import shutil
import signal

import pytest

from experiments import remote, states

KILL = int(signal.SIGKILL)
REMOTE = '__import__("experiments.remote").remote.Remote'

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(('call', 'number'), [('put', 9), ('put', 30), ('write', 3), ('write', 4)])
def test_killed_while_something_goes_up_and_an_empty_disk_goes_on(
  call, number, tiny, whole, tmp_path, same, only, command, signalled
):
  words = (tiny, '--save_every', 0, f'--mirror=file://{tmp_path / "store"}')
  status, out, err = signalled((REMOTE, call, number, 'before', KILL), *words, '--out', tmp_path / 'first')
  assert status == -KILL, (out, err)
  reached = states.read(remote.opened(f'file://{tmp_path / "store"}', 60.0), whole.name)[0].reached[1]
  status, out, err = command(*words, '--out', tmp_path / 'second')
  assert (status, err) == (0, '')
  assert 'its lease is taken over' in out
  assert reached < 0 or f'going on from step {reached}' in out
  same(only(tmp_path / 'second'), whole)
  shutil.rmtree(tmp_path / 'second')
  status, out, err = command(*words, '--out', tmp_path / 'second')
  assert (status, err) == (0, '')
  assert 'done before' in out
