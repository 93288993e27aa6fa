"""Tables and milestones asked for after the run: the bits of a run that had them from the start, and nothing else is made."""

import contextlib
import json
import signal

import chex
import jax
import numpy as np
import pytest

from dynamics import train
from experiments import replay, run, store

LATER = {
  'of a probe without state': 'probes.distance.on=True',
  'of a probe that listens to every step': 'probes.path.on=True',
  'of a probe with other fields': 'probes.norms.leaves=False',
  'at other times': 'probes.performance.schedule.stride=3',
}
MILESTONES = '--config.milestones=(0,5)'


@pytest.fixture(scope='session')
def at_once(whole, tmp_path_factory):
  """The folder of a run that had all later tables and milestones from the start."""
  out = tmp_path_factory.mktemp('at_once')
  words = [f'--config={whole.parents[1] / "tiny.py"}', f'--out={out}', MILESTONES]
  with jax.numpy_rank_promotion('allow'):
    assert run.main([*words, *(f'--config.{change}' for change in LATER.values())]) == 0
  return out / whole.name


@pytest.fixture
def stopped_at(monkeypatch):
  """A context in which a command gets SIGTERM when it has the readings of a step."""
  real = store.Pass.append

  @contextlib.contextmanager
  def stopped(at):
    def append(self, step, *rest):
      real(self, step, *rest)
      if step == at:
        signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
      patch.setattr(store.Pass, 'append', append)
      yield

  return stopped


@pytest.fixture
def advances(monkeypatch):
  """The stretches of steps that programs train from now on: [(first, last), ...]."""
  stretches, real = [], train.compile_programs

  def compile_programs(*args, **kwargs):
    programs = real(*args, **kwargs)

    def advance(state, frozen, members, data, first, last):
      stretches.append((first, last))
      return programs.advance(state, frozen, members, data, first, last)

    return programs._replace(advance=advance)

  monkeypatch.setattr(train, 'compile_programs', compile_programs)
  return stretches


def tables(folder):
  return sorted(path.name for path in (folder / 'tables').iterdir())


@pytest.mark.parametrize('kind', LATER)
def test_a_later_table_is_that_of_the_first_go(kind, copy, go, at_once, same_rows, stamps):
  before, change = stamps(copy), f'--config.{LATER[kind]}'
  assert 'reading ' in go(change).out
  after = stamps(copy)
  assert {path: after[path] for path in before} == before
  (new,) = set(tables(copy)) - {path.parent.name for path in before}
  same_rows(copy / 'tables' / new, at_once / 'tables' / new)
  assert not (copy / 'replay').exists()
  assert 'done before' in go(change).out
  assert stamps(copy) == after


def test_a_table_at_checkpoints_needs_no_training(copy, go, advances, table, same_rows):
  steps = sorted(int(path.name) for path in (copy / 'checkpoints').iterdir())
  only_distance = [f'--config.probes.{name}.on={name == "distance"}' for name in ('performance', 'meters', 'distance')]
  assert 'reading distance, without training' in go('--at=checkpoints', *only_distance).out
  assert advances == []
  (name,) = [name for name in tables(copy) if name.startswith('distance')]
  rows = table(copy / 'tables' / name)
  assert sorted(set(rows['step'].tolist())) == steps
  go('--config.probes.distance.on=True')
  (whole,) = [other for other in tables(copy) if other.startswith('distance') and other != name]
  all_rows = table(copy / 'tables' / whole)
  there = np.isin(all_rows['step'], steps)
  np.testing.assert_array_equal(all_rows['distance'][there], rows['distance'])
  assert advances[0][0] == 0


def test_at_checkpoints_is_refused_where_nothing_is_finished(go, tmp_path):
  assert 'leave it out, and train first' in go('--at=checkpoints', status=2).err
  assert not (tmp_path / 'out').exists()


def test_an_interrupted_replay_goes_on(copy, go, at_once, same_rows, monkeypatch, advances):
  real, calls = store.Pass.append, []

  def append(self, step, *rest):
    real(self, step, *rest)
    calls.append(step)
    if len(calls) == 5:
      signal.raise_signal(signal.SIGTERM)

  monkeypatch.setattr(store.Pass, 'append', append)
  words = ['--config.probes.path.on=True']
  said = go(*words, status=130)
  assert f'stopped at step {calls[-1]} of 24, all saved' in said.out
  reached, before = calls[-1], len(advances)
  assert 0 < reached < 24
  go(*words)
  assert advances[before][0] == reached  # not from the start
  assert not (copy / 'replay').exists()
  (new,) = [name for name in tables(copy) if name.startswith('path')]
  same_rows(copy / 'tables' / new, at_once / 'tables' / new)


def test_a_replay_that_is_left_for_another_begins_again(copy, go, stopped_at):
  with stopped_at(8):
    go('--config.probes.path.on=True', status=130)
  go('--config.probes.path.on=True', '--config.probes.distance.on=True')
  assert len(tables(copy)) == 4


def test_milestones_later(copy, go, at_once, leaves, stamps):
  before = stamps(copy)
  said = go('--config.milestones=(0,5,24)')
  assert 'reading checkpoints' in said.out
  assert {'0', '5', '24'} <= {path.name for path in (copy / 'checkpoints').iterdir()}
  assert {path: stamps(copy)[path] for path in before} == before
  for step in (0, 5, 24):
    chex.assert_trees_all_equal(leaves(copy, step), leaves(at_once, step))
  assert 'done before' in go('--config.milestones=(0,5,24)').out


def test_a_table_that_is_read_at_no_step_is_done(copy, go, table):
  words = ['--config.probes.distance.schedule={"stride": 0, "end": False}']
  go(*words)
  assert 'done before' in go(*words).out


@pytest.mark.parametrize(('probe', 'part', 'steps'), [('performance', 3, 6), ('performance', -1, 0), ('meters', -1, 24)])
def test_one_flipped_bit_in_a_part_makes_that_part_again_and_no_other(
  copy, go, whole, same, stamps, flip, advances, probe, part, steps
):
  """From the checkpoint before it; from the start where the probe listens to every step."""
  before = stamps(copy)
  path = sorted((copy / 'tables').glob(f'{probe}-*/part-*'))[part]
  flip(path)
  said = go().out
  assert f'1 damaged parts of {probe} are made again; {steps} steps again' in said
  same(copy, whole)
  after = stamps(copy)
  assert after.keys() == before.keys()
  assert [other for other in before if after[other] != before[other]] == [path]
  assert after[path][0] == before[path][0] or after[path][1] != before[path][1]
  assert not (copy / 'damaged').exists()


def test_a_part_that_comes_back_with_other_bytes_makes_its_table_again(copy, go, whole, same, flip, monkeypatch):
  flip(sorted((copy / 'tables').glob('performance-*/part-*'))[3])
  real, calls = store.tables.write, []

  def write(folder, name, first, last, series, of, *share):
    calls.append((first, last))
    of = {'other': ()} if len(calls) == 1 else of
    return real(folder, name, first, last, series, of, *share)

  monkeypatch.setattr(store.tables, 'write', write)
  assert 'have other bytes; the table is made again' in go().out
  assert calls[0] == (5, 6)
  same(copy, whole)


@pytest.mark.parametrize(
  ('parts', 'again'), [([2], '1 damaged parts of performance are made again'), (None, 'the table is made again')]
)
def test_flipped_bits_while_a_run_is_under_way_cost_their_parts_alone(
  go, tmp_path, only, whole, same, flip, stopped_at, stamps, parts, again
):
  with stopped_at(12):
    go('--save_every=0', status=130)
  folder = only(tmp_path / 'out')
  there = sorted((folder / 'tables').glob('performance-*/part-*'))
  lost = there if parts is None else [there[i] for i in parts]
  for path in lost:
    flip(path)
  before = stamps(folder)
  said = go('--save_every=0').out
  assert 'going on from step 12' in said
  assert again in said
  same(folder, whole)
  after = stamps(folder)
  assert all((after[path] == before[path]) == (path not in lost) for path in there if path in before)
  assert not (folder / 'damaged').exists()


def test_a_flipped_bit_while_a_replay_is_under_way_costs_its_part_alone(copy, go, stopped_at, flip, at_once, same_rows):
  with stopped_at(12):
    go('--config.probes.distance.on=True', '--save_every=0', status=130)
  (table,) = (copy / 'tables').glob('distance-*')
  flip(sorted(table.glob('part-*'))[1])
  assert '1 damaged parts of distance are made again' in go('--config.probes.distance.on=True').out
  same_rows(table, at_once / 'tables' / table.name)


def test_a_damaged_checkpoint_is_no_end_of_a_replay(copy, go, flip, at_once, same_rows):
  newest = copy / 'checkpoints' / '24'
  flip(max((path for path in (newest / 'state').rglob('*') if path.is_file()), key=lambda path: path.stat().st_size))
  said = go('--config.probes.distance.on=True')
  assert 'checkpoint 24 cannot be used' in said.out
  (new,) = [name for name in tables(copy) if name.startswith('distance')]
  same_rows(copy / 'tables' / new, at_once / 'tables' / new)


def test_a_lost_start_is_drawn_again(copy, go, flip):
  flip(max((path for path in (copy / 'start').rglob('*') if path.is_file()), key=lambda path: path.stat().st_size))
  said = go('--config.probes.distance.on=True')
  assert 'checkpoint 0 cannot be used' in said.out


@pytest.mark.parametrize(
  ('moments', 'steps', 'pairs'),
  [
    ([0, 2, 4], [], [(None, 4)]),
    ([0, 2, 4], [4, 2], [(None, 0), (2, 2), (4, 4)]),
    ([3, 5, 9], [4], [(None, 3), (4, 9)]),
    ([7], [9], [(None, 7)]),
    ([], [4], []),
  ],
)
def test_stretches_begin_at_the_nearest_checkpoint(moments, steps, pairs):
  assert replay.stretches(moments, steps) == pairs


def test_the_record_names_every_command(copy, go):
  count = len(json.loads((copy / 'run.json').read_text())['sessions'])
  go('--config.probes.distance.on=True')
  sessions = json.loads((copy / 'run.json').read_text())['sessions']
  assert len(sessions) == count + 1
  assert '--config.probes.distance.on=True' in sessions[-1]['command']
