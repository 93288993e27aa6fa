"""The store on its own, with states made by hand: every kind of damage is noticed, and nothing is lost or overwritten."""

import json
import shutil

import jax
import numpy as np
import pytest

from dynamics.train import State
from experiments import store, tables

# Reads that orbax had under way when it met a damaged file complain to a loop that is gone.
pytestmark = pytest.mark.filterwarnings('ignore:Exception ignored:pytest.PytestUnraisableExceptionWarning')


def state(step, width=64, dtype=np.float32):
  w = np.random.default_rng(step).normal(size=(2, width)).astype(dtype)
  return State({'params': {'dense': {'kernel': w}}}, (np.full((2,), step, np.int32),), {'params': -w}, {'meters': ()})


def readings(step):
  value = np.array([step, step + 0.5], np.float32)
  return {'performance': {'train_loss': value, 'of': {'a/b': value * 2}}, 'norms': {'norm': value}}


def work(run, steps):
  for step in steps:
    run.append(step, readings(step))
    run.save(step, state(step))
  run.wait()


@pytest.fixture
def said():
  return []


@pytest.fixture
def stored(tmp_path):
  """A run with a part for each of the steps 1..6 and checkpoints of 5 and 6."""
  with store.opened(tmp_path / 'run', (), print) as run:
    work(run, range(1, 7))
  return tmp_path / 'run'


def restore(folder, said, like=None, milestones=()):
  with store.opened(folder, milestones, said.append) as run:
    return run.restore(jax.eval_shape(lambda: state(0)) if like is None else like)


def equal(found, step):
  assert found[0] == step
  assert jax.tree.structure(found[1]) == jax.tree.structure(state(step))
  for a, b in zip(jax.tree.leaves(found[1]), jax.tree.leaves(state(step)), strict=True):
    assert a.dtype == b.dtype
    assert a.tobytes() == b.tobytes()


def names(folder):
  return sorted((path.name for path in folder.iterdir()), key=lambda name: (len(name), name))


def files(folder):
  return sorted(path for path in folder.rglob('*') if path.is_file())


def flip(path, place=0.5):
  raw = bytearray(path.read_bytes())
  raw[int(len(raw) * place)] ^= 1
  path.write_bytes(raw)


def test_round_trip(stored, said):
  equal(restore(stored, said), 6)
  assert said == []
  assert names(stored / 'checkpoints') == ['5', '6']
  assert [p.name for p in sorted((stored / 'tables' / 'norms').iterdir())][1] == 'part-000000002-000000002.parquet'


def largest(folder):
  return max(files(folder), key=lambda path: path.stat().st_size)


def halved(path):
  return path.read_bytes()[: path.stat().st_size // 2]


DAMAGES = {
  'a flipped byte': lambda run: flip(largest(run / 'checkpoints/6/state')),
  'a flipped byte of meta': lambda run: flip(run / 'checkpoints/6/meta/metadata'),
  'a truncated file': lambda run: largest(run / 'checkpoints/6/state').write_bytes(b'1234'),
  'truncated files': lambda run: [path.write_bytes(halved(path)) for path in files(run / 'checkpoints/6')],
  'no bytes at all': lambda run: [path.write_bytes(b'') for path in files(run / 'checkpoints/6')],
  'an empty step': lambda run: [shutil.rmtree(run / 'checkpoints/6'), (run / 'checkpoints/6').mkdir()],
  'no state': lambda run: shutil.rmtree(run / 'checkpoints/6/state'),
  'no meta': lambda run: shutil.rmtree(run / 'checkpoints/6/meta'),
  'a file in place of a step': lambda run: [shutil.rmtree(run / 'checkpoints/6'), (run / 'checkpoints/6').write_text('6')],
  'a flipped byte of a part': lambda run: flip(run / 'tables/norms/part-000000006-000000006.parquet'),
  'a truncated part': lambda run: (run / 'tables/norms/part-000000006-000000006.parquet').write_bytes(b'PAR1'),
  'a part that is gone': lambda run: (run / 'tables/norms/part-000000006-000000006.parquet').unlink(),
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
  assert 'part-000000006-000000006.parquet' not in names(stored / 'tables/norms')
  with store.opened(stored, (), said.append) as run:  # and the run goes on
    equal(run.restore(state(0)), 5)
    work(run, (6, 7))
    run.finish(7, state(7), {'diverged': []})
  assert store.read_done(stored)['step'] == 7
  assert len(said) == 1


def test_any_flipped_byte_is_noticed_or_does_not_matter(stored, said, tmp_path):
  for i, path in enumerate(files(stored / 'checkpoints/6')):
    for place in (0.0, 0.3, 0.999):
      if path.stat().st_size == 0:
        continue
      copy = tmp_path / f'copy-{i}-{place}'
      shutil.copytree(stored, copy)
      flip(copy / path.relative_to(stored), place)
      found = restore(copy, said)
      equal(found, found[0])
      assert found[0] == 6 - (copy / 'damaged').exists()


def test_new_step_folder_without_content(stored, said):
  (stored / 'checkpoints' / '99').mkdir()
  equal(restore(stored, said), 6)
  assert (stored / 'damaged' / '99-0').is_dir()


def test_nothing_left_begins_again(stored, said):
  for step in ('5', '6'):
    flip(largest(stored / 'checkpoints' / step / 'state'))
  assert restore(stored, said) is None
  assert len(said) == 3
  assert 'begins again' in said[2]
  assert names(stored / 'damaged') == ['5-0', '6-0']
  assert not files(stored / 'tables')


def test_an_early_part_takes_all_later_checkpoints_with_it(stored, said):
  flip(stored / 'tables/norms/part-000000000-000000001.parquet')
  assert restore(stored, said) is None
  assert all('part-000000000' in text for text in said[:2])


def test_half_written_and_later_parts_go(stored, said):
  before = names(stored / 'tables/norms')
  (stored / 'tables/norms/part-000000007-000000007.tmp').write_bytes(b'PAR1 half')
  (stored / 'tables/norms/part-000000007-000000009.parquet').write_bytes(b'PAR1 half')
  (stored / 'checkpoints' / '7.orbax-checkpoint-tmp').mkdir()
  equal(restore(stored, said), 6)
  assert names(stored / 'tables/norms') == before
  with store.opened(stored, (), said.append) as run:
    run.restore(state(0))
    work(run, (7,))
  assert names(stored / 'checkpoints') == ['6', '7']


@pytest.mark.parametrize(
  ('like', 'words'),
  [
    (state(0, width=32), 'holds variables.params.dense.kernel as float32(2, 64), but this code expects float32(2, 32)'),
    (state(0, dtype=np.float64), 'float32(2, 64), but this code expects float64(2, 64)'),
    (state(0)._replace(memory={'new': np.zeros((2,))}), 'lacks memory.new, which this code expects'),
    (state(0)._replace(anchor={}), 'holds anchor.params, which this code does not expect'),
  ],
)
def test_other_shapes_are_refused_and_nothing_is_touched(stored, said, like, words):
  before = {path: path.read_bytes() for path in files(stored) if path.name != 'lock'}
  with pytest.raises(store.StoreError) as caught:
    restore(stored, said, like)
  assert words in str(caught.value)
  assert 'other code' in str(caught.value)
  assert said == []
  assert before == {path: path.read_bytes() for path in files(stored) if path.name != 'lock'}


def test_milestones_stay_also_after_going_on(tmp_path, said):
  with store.opened(tmp_path / 'run', (2, 6), said.append) as run:
    work(run, range(1, 5))
  assert names(tmp_path / 'run/checkpoints') == ['2', '3', '4']
  with store.opened(tmp_path / 'run', (2, 6), said.append) as run:
    equal(run.restore(state(0)), 4)
    work(run, range(5, 10))
  assert names(tmp_path / 'run/checkpoints') == ['2', '6', '8', '9']
  for step in ('8', '9'):
    shutil.rmtree(tmp_path / 'run/checkpoints' / step)
  equal(restore(tmp_path / 'run', said, milestones=(2, 6)), 6)  # only milestones are left
  assert not (tmp_path / 'run/tables/norms/part-000000007-000000007.parquet').exists()


def test_a_step_is_saved_once(stored, said):
  before = {path: path.stat().st_mtime_ns for path in files(stored / 'checkpoints')}
  with store.opened(stored, (), said.append) as run:
    equal(run.restore(state(0)), 6)
    run.save(6, state(6))
    run.save(6, state(6))
    run.finish(6, state(6), {'diverged': []})
  assert before == {path: path.stat().st_mtime_ns for path in files(stored / 'checkpoints')}
  assert store.read_done(stored)['parts'].keys() == {str(p.relative_to(stored / 'tables')) for p in files(stored / 'tables')}


def test_the_done_marker_is_last_and_only_for_what_can_be_read(stored, said, monkeypatch):
  real = store.Run.wait

  def harm(run):
    real(run)
    flip(largest(stored / 'checkpoints/7/state')) if (stored / 'checkpoints/7').exists() else None

  with store.opened(stored, (), said.append) as run:
    run.restore(state(0))
    monkeypatch.setattr(store.Run, 'wait', harm)
    with pytest.raises(store.StoreError, match='does not keep what is written'):
      run.finish(7, state(7), {})
  assert not store.is_done(stored)


@pytest.mark.parametrize('damage', [lambda path: path.unlink(), flip, lambda path: path.write_bytes(b'PAR1')])
def test_a_damaged_part_of_a_finished_run_is_told(stored, said, damage):
  with store.opened(stored, (), said.append) as run:
    run.restore(state(0))
    run.finish(6, state(6), {'diverged': []})
  path = stored / 'tables/performance/part-000000003-000000003.parquet'
  damage(path)
  with pytest.raises(store.StoreError, match=f'{path} is missing or damaged'):
    store.read_done(stored)


def test_a_cut_json_is_told(stored):
  (stored / 'done.json').write_text('{"step": ')
  with pytest.raises(store.StoreError, match='cannot be read'):
    store.read_done(stored)


def test_the_state_is_copied_before_the_next_step_changes_it(tmp_path, said):
  with store.opened(tmp_path / 'run', (), said.append) as run:
    now = state(1)
    run.save(1, now)
    now.variables['params']['dense']['kernel'][:] = 0
  equal(restore(tmp_path / 'run', said), 1)


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
  assert json.loads((tmp_path / 'a.json').read_text()) == {'x': 1}


def test_a_wrong_part_name_cannot_be_taken_for_a_part(tmp_path):
  (tmp_path / 'norms').mkdir()
  (tmp_path / 'norms' / 'notes.txt').write_text('mine')
  tables.keep_only(tmp_path, ())
  assert not files(tmp_path)
