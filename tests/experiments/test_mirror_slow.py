"""Mirrors in real processes, killed while something goes up, and against an S3 server on the loopback."""

import shutil
import signal

import pytest

from experiments import lease, mirror, remote, states

KILL = int(signal.SIGKILL)
REMOTE = '__import__("experiments.remote").remote.Remote'

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(('call', 'number'), [('put', 9), ('put', 30), ('write', 2), ('write', 3)])
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


@pytest.fixture
def bucket(monkeypatch):
  """An address in a bucket of moto's S3 server."""
  pytest.importorskip('s3fs')
  server = pytest.importorskip('moto.server').ThreadedMotoServer('127.0.0.1', port=0)
  server.start()
  host, port = server.get_host_and_port()
  settings = {'AWS_ACCESS_KEY_ID': 'a', 'AWS_SECRET_ACCESS_KEY': 'b', 'AWS_ENDPOINT_URL': f'http://{host}:{port}'}
  for name, value in {**settings, 'AWS_DEFAULT_REGION': 'us-east-1'}.items():
    monkeypatch.setenv(name, value)
  remote.opened('s3://bucket/x', 60.0).store.mkdir('bucket')
  yield 's3://bucket/runs', server
  server.stop()


def test_s3(bucket, whole, tmp_path, go, only, same):
  address, _ = bucket
  said = []
  mirror.Mirror(address, said.append).run(whole, ()).finish()
  assert said == []
  assert 'done before' in go(f'--mirror={address}').out
  same(only(tmp_path / 'out'), whole)
  first, second = (lease.Lease(remote.opened(address, 60.0), 'run', lease.Pace(beat=0.5, stale=2.0)) for _ in range(2))
  first.take(said.append)
  second.take(said.append)
  assert 'no sign of life' in said[-1]
  with pytest.raises(lease.Lost):
    first.beat()


def test_a_bucket_that_is_not_there_is_told(bucket, tiny, tmp_path, go):
  assert 'cannot be used' in go('--mirror=s3://other/runs', status=2).err
