"""Mirrors against S3 servers on the loopback: moto's, and in the slow tier OpenStack Swift's."""

import shutil

import pytest

from experiments import lease, mirror, remote, states
from tests.experiments import swift

PACE = lease.Pace(beat=0.5, stale=2.0)


@pytest.fixture
def moto(monkeypatch, tmp_path):
  """An address in a bucket of moto's server."""
  server = pytest.importorskip('moto.server').ThreadedMotoServer('127.0.0.1', port=0, verbose=False)
  server.start()
  host, port = server.get_host_and_port()
  names = {'AWS_ACCESS_KEY_ID': 'a', 'AWS_SECRET_ACCESS_KEY': 'b', 'AWS_DEFAULT_REGION': 'us-east-1'}
  _reach(monkeypatch, {**names, 'AWS_ENDPOINT_URL': f'http://{host}:{port}'})
  yield f's3://bucket/{tmp_path.name}'
  server.stop()


@pytest.fixture
def node(monkeypatch, tmp_path):
  """An address in a bucket of a node of Swift."""
  if not swift.is_installed():
    pytest.skip("needs Debian's packages swift-proxy, swift-account, swift-container, swift-object and memcached")
  with swift.running(tmp_path / 'swift') as environment:
    _reach(monkeypatch, environment)
    yield 's3://bucket/runs'


@pytest.fixture(params=['moto', pytest.param('node', marks=pytest.mark.slow)])
def address(request):
  return request.getfixturevalue(request.param)


def _reach(monkeypatch, environment):
  for name, value in environment.items():
    monkeypatch.setenv(name, value)
  remote.opened('s3://bucket/x', 60.0).store.makedirs('bucket', exist_ok=True)


def test_a_run_goes_up_and_comes_down_to_the_bit_and_its_damage_is_mended(address, whole, tmp_path, go, only, same):
  pytest.importorskip('s3fs')
  said = []
  mirror.Mirror(address, said.append).run(whole, ()).finish()
  assert said == []
  assert 'done before' in go(f'--mirror={address}').out
  same(only(tmp_path / 'out'), whole)
  place = remote.opened(address, 60.0)
  newest = states.read(place, whole.name)[0]
  part = next(path for path in newest.files if path.endswith('.parquet'))
  place.write(states.object_name(whole.name, newest.files[part]), b'cut')
  shutil.rmtree(tmp_path / 'out')
  said = go(f'--mirror={address}')
  assert f'{part.rpartition("/")[0]} in the mirror cannot be used' in said.out
  same(only(tmp_path / 'out'), whole)


def test_one_machine_at_a_time(address):
  said = []
  first, second = (lease.Lease(remote.opened(address, 60.0), 'run', PACE) for _ in range(2))
  first.take(said.append)
  second.take(said.append)
  assert 'no sign of life' in said[-1]
  with pytest.raises(lease.Lost):
    first.beat()


def test_a_bucket_that_is_not_there_is_told(address, tiny, tmp_path, go, monkeypatch):
  monkeypatch.setattr(mirror.Mirror.__init__, '__defaults__', (PACE._replace(patience=1.0),))
  assert 'cannot be used' in go('--mirror=s3://other/runs', status=2).err
