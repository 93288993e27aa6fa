"""The store on its own, with states made by hand: every kind of damage is noticed, and nothing is lost or overwritten."""

import json
import shutil
import sys
import types

import chex
import jax
import numpy as np
import pytest

from dynamics.types import Frozen, State
from experiments import markers, store, tables

# Reads that orbax had under way when it met a damaged file complain to a loop that is gone.
pytestmark = pytest.mark.filterwarnings('ignore:Exception ignored:pytest.PytestUnraisableExceptionWarning')
NAMES = {'performance': 'performance-1', 'norms': 'norms-2'}


def state(step, width=64, dtype=np.float32):
  w = np.random.default_rng(step).normal(size=(2, width)).astype(dtype)
  return State({'params': {'dense': {'kernel': w}}}, (np.full((2,), step, np.int32),), (), {'meters': (-w,)})


def readings(step):
  value = np.array([step, step + 0.5], np.float32)
  return {'performance': {'train_loss': value, 'of': {'a/b': value * 2}}, 'norms': {'norm': value}}


def work(training, steps):
  for step in steps:
    training.append(step, readings(step))
    training.save(step, state(step))
  training.wait()


@pytest.fixture
def said():
  return []


@pytest.fixture(scope='session')
def original(tmp_path_factory):
  """A run with a part for each of the steps 1..6 and checkpoints of 5 and 6."""
  folder = tmp_path_factory.mktemp('store') / 'run'
  with store.opened(folder, (), print) as run:
    training = run.training(NAMES)
    work(training, range(1, 7))
    training.close()
  return folder


@pytest.fixture
def stored(original, tmp_path):
  return shutil.copytree(original, tmp_path / 'run')


class Training:
  """A training pass that is closed with its run."""

  def __init__(self, folder, said, milestones=(), names=NAMES):
    self._opened = store.opened(folder, milestones, said.append)
    self._names = names

  def __enter__(self):
    self.run = self._opened.__enter__()
    self.training = self.run.training(self._names)
    return self.training

  def __exit__(self, *error):
    self.training.close()
    return self._opened.__exit__(*error)


def restore(folder, said, like=None, milestones=()):
  with Training(folder, said, milestones) as training:
    return training.restore(jax.eval_shape(lambda: state(0)) if like is None else like)


def equal(restored, step):
  assert restored[0] == step
  chex.assert_trees_all_equal_shapes_and_dtypes(restored[1], state(step))
  chex.assert_trees_all_equal(restored[1], state(step))


def names(folder):
  return sorted((path.name for path in folder.iterdir()), key=lambda name: (len(name), name))


def files(folder):
  return sorted(path for path in folder.rglob('*') if path.is_file())


def test_round_trip(stored, said):
  equal(restore(stored, said), 6)
  assert said == []
  assert names(stored / 'checkpoints') == ['5', '6']
  assert [p.name for p in sorted((stored / 'tables' / 'norms-2').iterdir())][1] == 'part-000000002-000000002.parquet'


def largest(folder):
  return max(files(folder), key=lambda path: path.stat().st_size)


def halved(path):
  return path.read_bytes()[: path.stat().st_size // 2]


def bit(path, place=0.5):
  raw = bytearray(path.read_bytes())
  raw[int(len(raw) * place)] ^= 1
  path.write_bytes(raw)


DAMAGES = {
  'a flipped bit': lambda run: bit(largest(run / 'checkpoints/6/state')),
  'a flipped bit of meta': lambda run: bit(run / 'checkpoints/6/meta/metadata'),
  'a truncated file': lambda run: largest(run / 'checkpoints/6/state').write_bytes(b'1234'),
  'truncated files': lambda run: [path.write_bytes(halved(path)) for path in files(run / 'checkpoints/6')],
  'no bytes at all': lambda run: [path.write_bytes(b'') for path in files(run / 'checkpoints/6')],
  'an empty step': lambda run: [shutil.rmtree(run / 'checkpoints/6'), (run / 'checkpoints/6').mkdir()],
  'no state': lambda run: shutil.rmtree(run / 'checkpoints/6/state'),
  'no meta': lambda run: shutil.rmtree(run / 'checkpoints/6/meta'),
  'a file in place of a step': lambda run: [shutil.rmtree(run / 'checkpoints/6'), (run / 'checkpoints/6').write_text('6')],
}


@pytest.mark.parametrize('damage', DAMAGES)
def test_damage_is_put_aside_and_the_checkpoint_before_it_used(stored, said, damage):
  DAMAGES[damage](stored)
  equal(restore(stored, said), 5)
  assert len(said) == 1
  assert 'checkpoint 6 cannot be used (' in said[0]
  assert '\n' not in said[0]
  assert (stored / 'damaged' / '6-0').exists()
  assert names(stored / 'checkpoints') == ['5']
  assert 'part-000000006-000000006.parquet' not in names(stored / 'tables/norms-2')
  with Training(stored, said) as training:  # and the run goes on
    equal(training.restore(state(0)), 5)
    work(training, (6, 7))
    training.finish(7, state(7))
  assert len(said) == 1
  assert tables.is_whole(stored / 'tables/norms-2')


def test_reads_that_end_after_the_error_complain_to_nobody(stored, said, monkeypatch):
  """Orbax leaves them behind, and python would print a traceback of each, whenever it ends."""
  dropped = []
  monkeypatch.setattr(sys, 'unraisablehook', dropped.append)
  manifest = stored / 'checkpoints/6/state/manifest.ocdbt'
  manifest.write_bytes(halved(manifest))
  equal(restore(stored, said), 5)
  errors = RuntimeError('Event loop is closed'), ValueError('another')
  late, other = (types.SimpleNamespace(exc_value=error) for error in errors)
  for each in (late, other):
    sys.unraisablehook(each)
  assert dropped == [other]


PARTS = {
  'a flipped bit': bit,
  'truncated': lambda path: path.write_bytes(b'PAR1'),
  'gone': lambda path: path.unlink(),
}


@pytest.mark.parametrize('damage', PARTS)
@pytest.mark.parametrize('step', [1, 6])
def test_a_damaged_part_costs_itself_alone(stored, said, damage, step):
  PARTS[damage](stored / f'tables/norms-2/part-00000000{0 if step == 1 else step}-00000000{step}.parquet')
  with Training(stored, said) as training:
    assert training.newest() == (6, {'performance': 'performance-1', 'norms': 'norms-2'})
  assert said == ['  norms-2: 1 of 6 parts are missing or damaged; they are made again when the others are done']
  with Training(stored, said) as training:
    equal(training.restore(state(0)), 6)
    training.finish(6, state(6))
  assert [tables.is_whole(stored / 'tables' / name) for name in ('performance-1', 'norms-2')] == [True, False]
  assert len(tables.holes(stored / 'tables/norms-2')) == 1
  assert not (stored / 'damaged').exists()


def test_a_table_without_a_whole_part_is_left_out(stored, said):
  for path in (stored / 'tables/norms-2').glob('part-*'):
    bit(path)
  with Training(stored, said) as training:
    assert training.newest() == (6, {'performance': 'performance-1'})
  assert said == ['  norms-2: a part is missing or damaged; the table is made again']


def test_any_flipped_bit_is_noticed_or_does_not_matter(stored, said, tmp_path):
  for i, path in enumerate(files(stored / 'checkpoints/6')):
    for place in (0.0, 0.999):
      if path.stat().st_size == 0:
        continue
      copy = shutil.copytree(stored, tmp_path / f'copy-{i}-{place}')
      bit(copy / path.relative_to(stored), place)
      restored = restore(copy, said)
      equal(restored, restored[0])
      assert restored[0] == 6 - (copy / 'damaged').exists()


def test_new_step_folder_without_content(stored, said):
  (stored / 'checkpoints' / '99').mkdir()
  equal(restore(stored, said), 6)
  assert (stored / 'damaged' / '99-0').is_dir()


def test_no_checkpoint_left_begins_again(stored, said):
  for step in ('5', '6'):
    bit(largest(stored / 'checkpoints' / step / 'state'))
  assert restore(stored, said) is None
  assert len(said) == 3
  assert 'begins again' in said[2]
  assert names(stored / 'damaged') == ['5-0', '6-0']
  assert not files(stored / 'tables')


def test_half_written_and_later_parts_go(stored, said):
  before = names(stored / 'tables/norms-2')
  (stored / 'tables/norms-2/part-000000007-000000007.tmp').write_bytes(b'PAR1 half')
  (stored / 'tables/norms-2/part-000000007-000000009.parquet').write_bytes(b'PAR1 half')
  (stored / 'checkpoints' / '7.orbax-checkpoint-tmp').mkdir()
  equal(restore(stored, said), 6)
  assert names(stored / 'tables/norms-2') == before
  with Training(stored, said) as training:
    training.restore(state(0))
    work(training, (7,))
  assert names(stored / 'checkpoints') == ['6', '7']


def test_parts_of_other_tables_are_left_alone(stored, said):
  (stored / 'tables/distance-3').mkdir()
  (stored / 'tables/distance-3/part-000000007-000000009.parquet').write_bytes(b'of a replay')
  restore(stored, said)
  assert names(stored / 'tables/distance-3') == ['part-000000007-000000009.parquet']


@pytest.mark.parametrize(
  ('like', 'words'),
  [
    (state(0, width=32), 'holds variables.params.dense.kernel as float32(2, 64), but this code expects float32(2, 32)'),
    (state(0, dtype=np.float64), 'float32(2, 64), but this code expects float64(2, 64)'),
    (state(0)._replace(probes={'new': np.zeros((2,))}), 'lacks probes.new, which this code expects'),
  ],
)
def test_other_shapes_are_refused_and_nothing_is_touched(stored, said, like, words, stamps):
  before = stamps(stored)
  with pytest.raises(store.StoreError) as caught:
    restore(stored, said, like)
  assert words in str(caught.value)
  assert 'other code' in str(caught.value)
  assert said == []
  assert stamps(stored) == before


def test_what_is_not_asked_for_is_left(stored, said):
  step, restored = restore(stored, said, state(0)._replace(probes={}))
  assert step == 6
  chex.assert_trees_all_equal(restored, state(6)._replace(probes={}))


def test_milestones_stay_also_after_going_on(tmp_path, said):
  with Training(tmp_path / 'run', said, (2, 6)) as training:
    work(training, range(1, 5))
  assert names(tmp_path / 'run/checkpoints') == ['2', '3', '4']
  with Training(tmp_path / 'run', said, (2, 6)) as training:
    equal(training.restore(jax.eval_shape(lambda: state(0))), 4)
    work(training, range(5, 10))
  assert names(tmp_path / 'run/checkpoints') == ['2', '6', '8', '9']
  for step in ('8', '9'):
    shutil.rmtree(tmp_path / 'run/checkpoints' / step)
  equal(restore(tmp_path / 'run', said, milestones=(2, 6)), 6)  # only milestones are left
  assert not (tmp_path / 'run/tables/norms-2/part-000000007-000000007.parquet').exists()


def test_a_step_is_saved_once(stored, said):
  before = {path: path.stat().st_mtime_ns for path in files(stored / 'checkpoints')}
  with Training(stored, said) as training:
    equal(training.restore(state(0)), 6)
    training.save(6, state(6))
    training.finish(6, state(6))
  assert before == {path: path.stat().st_mtime_ns for path in files(stored / 'checkpoints')}
  for name in NAMES.values():
    parts = json.loads((stored / 'tables' / name / 'done.json').read_text())['parts']
    assert parts.keys() == {path.name for path in (stored / 'tables' / name).glob('part-*')}


def test_the_done_markers_are_last_and_only_for_what_can_be_read(stored, said, monkeypatch):
  real = store.Pass.wait

  def harm(training):
    real(training)
    bit(largest(stored / 'checkpoints/7/state')) if (stored / 'checkpoints/7').exists() else None

  with Training(stored, said) as training:
    training.restore(state(0))
    monkeypatch.setattr(store.Pass, 'wait', harm)
    with pytest.raises(store.StoreError, match='does not keep what is written'):
      training.finish(7, state(7))
  assert not list(stored.rglob('done.json'))


@pytest.mark.parametrize('damage', [b'', b'{"step": ', b'null', b'[]', b'{}', b'\xff\xfe', b'[' * 100_000], ids=str)
def test_a_marker_that_is_not_as_it_was_written_is_a_sentence(stored, damage):
  store.write_json(stored / 'done.json', {'step': 3})
  assert markers.read_done(stored) == {'step': 3}
  (stored / 'done.json').write_bytes(damage)
  with pytest.raises(store.StoreError, match='remove it and give the same command again'):
    markers.read_done(stored)


def test_an_edited_marker_is_a_sentence(stored):
  store.write_json(stored / 'done.json', {'step': 3})
  text = (stored / 'done.json').read_text()
  (stored / 'done.json').write_text(text.replace('3', '4', 1))
  with pytest.raises(store.StoreError, match='is not as it was written'):
    markers.read_done(stored)


def test_the_state_is_copied_before_the_next_step_changes_it(tmp_path, said):
  with Training(tmp_path / 'run', said) as training:
    now = state(1)
    training.save(1, now)
    now.variables['params']['dense']['kernel'][:] = 0
  equal(restore(tmp_path / 'run', said), 1)


def test_the_start_is_held_once(tmp_path, said):
  frozen = Frozen({'params': {'w': np.arange(6.0).reshape(2, 3)}}, {})
  with store.opened(tmp_path / 'run', (), said.append) as run:
    assert run.read_start(frozen) is None
    run.save_start(frozen)
    run.save_start(jax.tree.map(np.zeros_like, frozen))
    chex.assert_trees_all_equal(run.read_start(frozen), frozen)


def test_one_process_at_a_time(stored, said):
  with (
    store.opened(stored, (), said.append),
    pytest.raises(store.StoreError, match='another process'),
    store.opened(stored, (), said.append),
  ):
    pass
  (stored / 'lock').write_text('pid 1')  # left by a process that died: the system has dropped its lock
  equal(restore(stored, said), 6)


def test_json_is_whole_or_not_there(tmp_path):
  store.write_json(tmp_path / 'a.json', {'x': 1})
  with pytest.raises(TypeError):
    store.write_json(tmp_path / 'a.json', {'x': object()})
  assert json.loads((tmp_path / 'a.json').read_text())['x'] == 1
  assert names(tmp_path) == ['a.json']


def test_what_is_no_part_of_a_table_goes(tmp_path):
  (tmp_path / 'norms-2').mkdir()
  (tmp_path / 'norms-2' / 'notes.txt').write_text('a stranger')
  tables.keep_only(tmp_path, 'norms-2', ())
  assert not files(tmp_path)
