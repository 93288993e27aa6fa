"""Mirrors: an empty disk goes on to the same bits, faults of a store stop no training, and two machines do not meet."""

import json
import pathlib
import random
import shutil
import threading
import time
from typing import ClassVar

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from experiments import lease, load, mirror, remote, run, states, store, sweep
from experiments.disk import StoreError

FAST = lease.Pace(beat=0.1, stale=3.0, settle=0.05, pause=0.02, longest=0.1, patience=8.0, answer=3.0, stopping=2.0)


class Faults:
  """What the store of the tests does wrong: seeded, and told by the names of operations."""

  def __init__(self):
    self.heal()

  def heal(self):
    self.rate, self.kinds, self.random, self.delay, self.gone, self.counts = 0.0, (), random.Random(0), 0.0, False, {}

  def due(self, kind):
    if kind in self.kinds and self.random.random() < self.rate:
      self.counts[kind] = self.counts.get(kind, 0) + 1
      return True
    return False


FAULTS = Faults()


class Faulty(MemoryFileSystem):
  """A store in memory with faults: refused, cut and slow writes, reads that are old, or no answer at all."""

  protocol = 'faulty'
  store: ClassVar[dict] = {}
  pseudo_dirs: ClassVar[list] = ['']
  before: ClassVar[dict] = {}

  @classmethod
  def _strip_protocol(cls, path):
    return MemoryFileSystem._strip_protocol(path.replace('faulty://', 'memory://'))

  def _meet(self, writes):
    if FAULTS.gone:
      raise ConnectionError('no route to the store')
    if FAULTS.due('slow'):
      time.sleep(FAULTS.delay)
    if writes and FAULTS.due('refused'):
      raise PermissionError('the store refuses to write')

  def pipe_file(self, path, value, mode='overwrite', **kwargs):
    self._meet(True)
    path = self._strip_protocol(path)
    if path in self.store:
      self.before[path] = self.cat_file(path, true=True)
    if FAULTS.due('cut'):
      super().pipe_file(path, value[: len(value) // 2], mode=mode)
      raise ConnectionError('the connection broke')
    super().pipe_file(path, value, mode=mode)

  def put_file(self, lpath, rpath, **kwargs):
    self._meet(True)
    raw = pathlib.Path(lpath).read_bytes()
    if FAULTS.due('cut'):
      MemoryFileSystem.pipe_file(self, rpath, raw[: len(raw) // 2])
      if FAULTS.random.random() < 0.5:
        raise ConnectionError('the connection broke')
      return
    MemoryFileSystem.pipe_file(self, rpath, raw)

  def cat_file(self, path, start=None, end=None, true=False, **kwargs):
    if not true:
      self._meet(False)
      path = self._strip_protocol(path)
      if path in self.before and FAULTS.due('old'):
        return self.before[path]
    return super().cat_file(path, start, end)

  def get_file(self, rpath, lpath, **kwargs):
    self._meet(False)
    pathlib.Path(lpath).write_bytes(self.cat_file(rpath, true=True))


fsspec.register_implementation('faulty', Faulty, clobber=True)


@pytest.fixture
def address():
  FAULTS.heal()
  Faulty.store.clear()
  Faulty.before.clear()
  Faulty.pseudo_dirs[:] = ['']
  yield 'faulty://bucket/runs'
  FAULTS.heal()


@pytest.fixture(autouse=True)
def _fast(monkeypatch):
  monkeypatch.setattr(mirror, 'PACE', FAST)
  monkeypatch.setattr(mirror.Mirror.__init__, '__defaults__', (FAST,))
  monkeypatch.setattr(mirror, 'LOOK', 0.05)


@pytest.fixture
def sent(whole, address):
  """The tiny run in a mirror."""
  said = []
  sender = mirror.Mirror(address, said.append, FAST)
  link = sender.run(whole, ())
  link.finish()
  assert said == []
  assert not sender.lacking
  return address


def objects():
  return {path: Faulty.store[path] for path in Faulty.store if '/files/' in path}


def leased(address, name='run', pace=FAST):
  return lease.Lease(remote.opened(address, 5.0), name, pace)


def test_an_empty_disk_takes_a_finished_run_as_finished(sent, whole, tiny, tmp_path, go, only, same):
  said = go(f'--mirror={sent}', '--save_every=0')
  assert 'done before' in said.out
  folder = only(tmp_path / 'out')
  same(folder, whole)
  assert (folder / 'run.json').read_bytes() == (whole / 'run.json').read_bytes()
  assert not any('lease' in path for path in Faulty.store)


@pytest.mark.parametrize('disk', [pytest.param('empty', marks=pytest.mark.slow), 'older'])
def test_another_machine_goes_on_where_the_first_was_stopped(disk, address, whole, tmp_path, go, only, same, monkeypatch):
  """The first machine is stopped twice; the second has nothing, or what the first had at the first stop."""
  real, calls, stops = store.Pass.append, [0], [3, 8]

  def append(self, *words):
    real(self, *words)
    calls[0] += 1
    if calls[0] in stops:
      stop.heard = True

  stop = None
  real_working = mirror.Link.working

  def working(self, given):
    nonlocal stop
    stop = given
    return real_working(self, given)

  monkeypatch.setattr(store.Pass, 'append', append)
  monkeypatch.setattr(mirror.Link, 'working', working)
  words = (f'--mirror={address}', '--save_every=0')
  go(*words, status=130)
  shutil.copytree(tmp_path / 'out', tmp_path / 'older', ignore=shutil.ignore_patterns('.programs'))
  said = go(*words, status=130)
  reached = said.out.split('stopped at step ')[1].split()[0]
  shutil.rmtree(tmp_path / 'out')
  if disk == 'older':
    (tmp_path / 'older').rename(tmp_path / 'out')
  said = go(*words)
  assert f'going on from step {reached}' in said.out
  same(only(tmp_path / 'out'), whole)
  assert len(json.loads((only(tmp_path / 'out') / 'run.json').read_text())['sessions']) == 3
  named = {sha for state in states.read(remote.opened(address, 5.0), whole.name) for sha in state.files.values()}
  assert {path.rpartition('/')[2] for path in objects()} == named  # nothing else lies there


@pytest.mark.parametrize(
  'kinds',
  [('refused',), ('cut',), ('slow', 'old'), pytest.param(('refused', 'cut', 'slow', 'old'), marks=pytest.mark.slow)],
  ids='-'.join,
)
def test_faults_of_a_store_delay_what_is_sent_and_nothing_else(kinds, address, whole, tmp_path, go, only, same):
  FAULTS.kinds, FAULTS.rate, FAULTS.delay = kinds, 0.15, 0.05
  said = go(f'--mirror={address}', '--save_every=0')
  assert FAULTS.counts
  same(only(tmp_path / 'out'), whole)
  FAULTS.heal()
  shutil.rmtree(tmp_path / 'out')
  said = go(f'--mirror={address}')
  assert 'done before' in said.out
  same(only(tmp_path / 'out'), whole)


@pytest.mark.parametrize('main', [run.main, pytest.param(sweep.main, marks=pytest.mark.slow)], ids=['run', 'sweep'])
def test_a_mirror_that_vanishes_stops_no_training_and_the_same_command_completes_it(
  main, address, whole, tmp_path, tiny, only, same, capsys, monkeypatch, is_sentence
):
  monkeypatch.setattr(mirror.Mirror.__init__, '__defaults__', (FAST._replace(patience=0.5),))
  real = store.Pass.append

  def append(self, step, *rest):
    FAULTS.gone = step > 6
    real(self, step, *rest)

  monkeypatch.setattr(store.Pass, 'append', append)
  words = [tiny, f'--out={tmp_path / "out"}', f'--mirror={address}', '--save_every=0']
  assert main(words) == 3
  said = capsys.readouterr()
  assert is_sentence(said.err)
  assert f'{address} lacks something of 1 runs' in said.err
  assert 'the mirror fails (no route to the store): training goes on here' in said.out
  same(only(tmp_path / 'out'), whole)
  FAULTS.heal()
  assert not states.read(remote.opened(address, 5.0), whole.name)[0].done
  time.sleep(FAST.stale)
  assert main(words) == 0
  assert capsys.readouterr().err == ''
  assert states.read(remote.opened(address, 5.0), whole.name)[0].done


@pytest.mark.parametrize('harm', ['bit', *(pytest.param(harm, marks=pytest.mark.slow) for harm in ('cut', 'gone'))])
def test_damage_in_a_mirror_is_told_and_never_taken(harm, sent, whole, tmp_path, go, only, same):
  newest = states.read(remote.opened(sent, 5.0), whole.name)[0]
  last = max((path for path in newest.files if path.startswith('checkpoints/24/')), key=lambda p: (whole / p).stat().st_size)
  part = next(path for path in newest.files if path.endswith('.parquet'))
  for path in (last, part):
    place = f'/bucket/runs/{states.object_name(whole.name, newest.files[path])}'
    content = bytearray(Faulty.store[place].getvalue())
    content[len(content) // 2] ^= 1
    del Faulty.store[place]
    if harm != 'gone':
      MemoryFileSystem.pipe_file(Faulty(), place, bytes(content if harm == 'bit' else content[: len(content) // 2]))
  said = go(f'--mirror={sent}', '--save_every=0')
  assert 'checkpoints/24 in the mirror cannot be used' in said.out
  assert f'{part.rpartition("/")[0]} in the mirror cannot be used' in said.out
  assert 'going on from step' in said.out
  same(only(tmp_path / 'out'), whole)
  shutil.rmtree(tmp_path / 'out')
  assert 'cannot be used' not in go(f'--mirror={sent}').out  # it was mended there
  same(only(tmp_path / 'out'), whole)


def test_a_state_that_is_cut_short_leaves_the_one_before(address):
  place = remote.opened(address, 5.0)
  for serial in (1, 2, 3):
    states.write(place, 'run', states.State(serial, {'run.json': str(serial)}))
  assert [state.serial for state in states.read(place, 'run')] == [3, 2]
  raw = place.read('run/state-1.json')
  place.write('run/state-1.json', raw[:-5])
  said = []
  assert states.read(place, 'run', said.append)[0].serial == 2
  assert said == ['  run/state-1.json in the mirror is damaged: the other state of the run holds']
  place.write('run/state-1.json', raw.replace(b'run.json', b'../x.jso'))
  assert states.read(place, 'run')[0].serial == 2


def test_two_machines_do_not_work_on_one_run(address):
  first, second, said = leased(address), leased(address), []
  first.take(said.append)
  over = threading.Event()
  beating = threading.Thread(target=lambda: [first.beat() for _ in iter(lambda: over.wait(0.05), True)])
  beating.start()
  with pytest.raises(StoreError, match='is being worked on by another process'):
    second.take(said.append)
  over.set()
  beating.join()
  first.release()
  second.take(said.append)
  with pytest.raises(lease.Lost):
    first.beat()


@pytest.mark.parametrize('hours', [-30, 30])
def test_a_lease_without_a_heartbeat_is_taken_over_whatever_clocks_say(address, hours, monkeypatch):
  first, second, said = leased(address), leased(address), []
  first.take(said.append)
  monkeypatch.setattr(time, 'time', lambda: 1e9 + 3600 * hours)
  begun = time.monotonic()
  second.take(said.append)
  assert time.monotonic() - begun >= FAST.stale
  assert 'no sign of life' in said[-1]
  with pytest.raises(lease.Lost):
    first.beat()
  second.beat()


@pytest.mark.parametrize('exclusive', [True, False])
def test_of_many_who_see_a_run_free_at_once_one_gets_it(address, exclusive, monkeypatch):
  monkeypatch.setattr(remote, 'EXCLUSIVE', ('faulty',) if exclusive else ())  # other stores let two writers pass
  place = remote.opened(address, 5.0)
  leases = [lease.Lease(place, 'run', FAST._replace(settle=0.3)) for _ in range(8)]
  holders, barrier, over = [], threading.Barrier(8), threading.Event()

  def work(each):
    barrier.wait()
    try:
      each.take(lambda text: None)
    except StoreError:
      return
    holders.append(each)
    try:
      while not over.wait(0.05):
        each.beat()
    except lease.Lost:
      holders.remove(each)

  threads = [threading.Thread(target=work, args=(each,)) for each in leases]
  for thread in threads:
    thread.start()
  limit = time.monotonic() + 60
  while not holders and time.monotonic() < limit:
    time.sleep(0.1)
  time.sleep(1.0)  # in which a second holder would be told
  assert len(holders) == 1
  over.set()
  for thread in threads:
    thread.join()


def test_a_machine_whose_lease_is_taken_over_saves_and_stops(address, whole, tmp_path, tiny, only, capsys, monkeypatch):
  real = store.Pass.append

  def append(self, step, *rest):
    real(self, step, *rest)
    if step == 6:
      thief = {'owner': 'other', 'by': 'another one', 'beat': 0}
      MemoryFileSystem.pipe_file(Faulty(), f'/bucket/runs/{whole.name}/lease.json', json.dumps(thief).encode())
      time.sleep(4 * FAST.beat)

  monkeypatch.setattr(store.Pass, 'append', append)
  assert run.main([tiny, f'--out={tmp_path / "out"}', f'--mirror={address}', '--save_every=0']) == 130
  said = capsys.readouterr()
  assert 'another machine (another one) has taken over' in said.out
  assert 'stopped at step 6' in said.out
  assert 'Traceback' not in said.err


def test_runs_are_read_from_a_mirror(sent, whole, tiny, tmp_path, capsys):
  from analysis import export

  loaded = load(tmp_path / 'a' / whole.name, mirror=sent)
  assert loaded.state == 'done'
  assert loaded.step == 24
  (of_config,) = load(tiny.removeprefix('--config='), out=tmp_path / 'b', mirror=sent)
  assert of_config.tables['performance'].equals(loaded.tables['performance'])
  assert export.main([tiny, '--probe=performance', f'--out={tmp_path / "c"}', f'--mirror={sent}']) == 0
  text = capsys.readouterr().out
  assert export.main([tiny, '--probe=performance', f'--out={whole.parent}']) == 0
  assert capsys.readouterr().out == text


@pytest.mark.parametrize(
  ('words', 'needed'),
  [
    (['--mirror='], ['it must be an address such as gs://bucket/path']),
    (['--mirror=results'], ['it must be an address such as']),
    (['--mirror=zzz://bucket/x'], ['fsspec knows no such address']),
    (['--mirror=dropbox://bucket/x'], ['needs the package', 'not installed']),
    (['--out=gs://bucket/x'], ['must be a folder of this machine', '--out=results --mirror=gs://bucket/x']),
  ],
)
def test_addresses_that_cannot_be_used(words, needed, tiny, capsys, is_sentence):
  assert run.main([tiny, *words]) == 2
  err = capsys.readouterr().err
  assert is_sentence(err)
  assert all(part in err for part in needed), err


def test_a_mirror_that_never_answers_is_told_before_training(address, tiny, tmp_path, capsys, is_sentence):
  FAULTS.gone = True
  assert run.main([tiny, f'--out={tmp_path / "out"}', f'--mirror={address}']) == 2
  err = capsys.readouterr().err
  assert is_sentence(err)
  assert 'no route to the store' in err
  assert not list((tmp_path / 'out').glob('*/checkpoints'))
