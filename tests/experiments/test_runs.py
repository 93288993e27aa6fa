"""Whole commands in this process: what they store, and what they say of it."""

import importlib
import signal
import subprocess

import chex
import jax
import numpy as np
import pytest

from dynamics import plan
from experiments import config, markers, record, resolve, store, work
from experiments.check import check_cell


@pytest.fixture
def folders(tiny, tmp_path):
  """The folders of a command's cells, in their order."""

  def of(*words):
    cells, _ = config.read([tiny, *words])
    return [tmp_path / 'out' / plan.identity(cell) for cell in cells]

  return of


def rows_of(table, folder, probe):
  (place,) = (folder / 'tables').glob(f'{probe}-*')
  return table(place)


TEACHER = (
  '--config.data.name=teacher',
  '--config.data.train=20',
  '--config.data.test=20',
  '--config.loss.name=mean_squared_error',
  '--config.optimizer.name=sgd',
)


def test_a_diverged_member_is_kept_and_told(go, folders, table):
  words = (*TEACHER, "--config.sweep=(('hyper.lr', (0.01, 1e6)),)", '--config.seeds=(3,4)')
  said, (folder,) = go(*words), folders(*words)
  assert 'diverged: 2 of 4 members: 2 (seed 3, lr 1e+06); 3 (seed 4, lr 1e+06)' in said.out
  assert markers.read_done(folder)['diverged'] == [2, 3]
  rows = rows_of(table, folder, 'performance')
  last = rows['step'] == 24
  np.testing.assert_array_equal(rows['member'][last], [0, 1, 2, 3])
  np.testing.assert_array_equal(rows['finite'][last], [True, True, False, False])
  np.testing.assert_array_equal(np.ma.getmaskarray(rows['train_loss'])[last], [False, False, True, True])  # NaN is NULL
  assert np.ma.filled(rows['train_loss'], np.nan)[last][:2].max() < 10


def test_float64_in_one_cell_of_two_and_nothing_leaks(copy, go, folders, table):
  words = ("--config.sweep=(('loss.dtype', ('float64', 'float32')),)", '--config.probes.meters.on=False')
  assert go(*words).out.count('done before') == 1
  kinds = [rows_of(table, folder, 'performance')['train_loss'].dtype for folder in folders(*words)]
  assert kinds == [np.float64, np.float32]
  assert not jax.config.jax_enable_x64
  assert go(*words).out.count('done before') == 2


def test_what_is_recorded(whole):
  content = record.read_json(whole / 'run.json')
  assert content['seeds'] == [0, 1]
  assert content['hyper']['lr'] == [0.01, 0.01]
  assert content['config']['layout'] == 'vmap'
  assert content['revisions']['model'] == content['revisions']['train'] == 1
  session = content['sessions'][0]
  assert session['versions']['jax'] == jax.__version__
  assert session['device'] == jax.devices()[0].device_kind
  assert session['mesh'] == {'member': 2, 'data': 1}
  assert session['command'].startswith('python -m experiments.run --config=')
  assert set(session) == {'versions', 'device', 'mesh', 'git', 'command', 'at'}
  done = markers.read_done(whole)
  assert done['step'] == 24
  assert {'start', 'train', 'performance', 'meters'} <= set(done['seconds'])


def test_a_run_that_went_on_elsewhere_says_so(copy, go, monkeypatch):
  (copy / 'done.json').unlink()
  here = record.surroundings
  monkeypatch.setattr(record, 'surroundings', lambda grid: {**here(grid), 'device': 'abacus'})
  said = go()
  assert 'device changed since this run began' in said.out
  assert 'going on from step 24' in said.out  # nothing but the done-marker was missing


def test_results_of_older_code_are_not_taken(copy, go, monkeypatch, folders):
  monkeypatch.setattr(resolve.train, 'REVISION', resolve.train.REVISION + 1)
  assert 'done before' not in go('--config.steps=24').out
  (new,) = folders()
  assert new != copy
  assert markers.is_done(new)


@pytest.mark.parametrize('name', ['done.json', 'run.json'])
@pytest.mark.parametrize('damage', [b'', b'{"step": ', b'null', b'[]', b'{}', b'\xff\xfe', 'edited'], ids=str)
def test_a_file_that_is_not_as_it_was_written_is_a_sentence(copy, go, name, damage):
  path = copy / name
  path.write_bytes(path.read_bytes().replace(b'0', b'1', 1) if damage == 'edited' else damage)
  assert f'error: {path} ' in go(status=2).err
  path.unlink()
  go()
  assert 'done before' in go().out


def test_milestones_are_kept_with_step_0(go, folders):
  words = ('--config.milestones=(0,5,24)', '--save_every=1000')
  go(*words)
  assert sorted(int(p.name) for p in (folders()[0] / 'checkpoints').iterdir()) == [0, 5, 24]


def test_all_probes_off(go, folders, same, copy, leaves):
  (folder,) = folders()
  ended = leaves(folder)
  copy.rename(copy.parent.with_name('aside'))
  go(*(f'--config.probes.{name}.on=False' for name in ('performance', 'meters', 'distance', 'norms')))
  assert not (folder / 'tables').exists()
  chex.assert_trees_all_equal(leaves(folder), ended)  # probes change no bit of the training


def test_one_probe_off_leaves_the_others_on(tiny):
  def on(changed):
    return list(resolve.resolve_config(changed).probes)

  plain = {k: v for k, v in config.files.load(tiny.removeprefix('--config=')).items() if k != 'probes'}
  usual = on(plain)
  assert usual == list(resolve.probes.USUAL)
  assert on({**plain, 'probes': {'norms': {'on': False}}}) == [name for name in usual if name != 'norms']
  assert on({**plain, 'probes': {'meters': {}}}) == on({**plain, 'probes': {'meters': {'on': True}}}) == ['meters']
  assert on({**plain, 'probes': {name: {'on': False} for name in usual}}) == []


CELLS = "--config.sweep=(('model.bias', (True, False)),)"


def test_cells_that_differ_in_their_init_share_all_programs_but_the_start(go, folders, whole, same):
  words = ("--config.sweep=(('init.name', ('generalised_gaussian', 'gaussian')),)",)
  said = go(*words).out
  assert said.count('; compiling 6 programs') == said.count('; compiling the start, all else is there') == 1
  assert folders(*words)[1].name == whole.name
  same(folders(*words)[1], whole)


def test_a_stop_in_the_first_of_two_cells(go, folders, monkeypatch):
  real, calls = store.Pass.append, []

  def append(self, *args):
    calls.append(None)
    if len(calls) == 5:
      signal.raise_signal(signal.SIGTERM)
    real(self, *args)

  before = signal.getsignal(signal.SIGTERM)
  monkeypatch.setattr(store.Pass, 'append', append)
  said = go(CELLS, status=130)
  assert signal.getsignal(signal.SIGTERM) == before
  assert 'cell 2/2' not in said.out
  assert not folders(CELLS)[1].exists()
  said = go(CELLS)
  assert said.out.index('going on from step') < said.out.index('cell 2/2')
  assert all(markers.is_done(folder) for folder in folders(CELLS))


def test_a_stop_while_a_cell_is_finished_ends_before_the_next(go, folders, monkeypatch):
  real = store.Run.finish

  def finish(self, *args):
    signal.raise_signal(signal.SIGINT)
    real(self, *args)

  monkeypatch.setattr(store.Run, 'finish', finish)
  said = go(CELLS, status=130)
  assert [markers.is_done(folder) for folder in folders(CELLS)] == [True, False]
  assert 'stopped before cell 2/2' in said.out
  assert 'go on with: python -m experiments.run' in said.out


def test_a_device_without_memory_is_a_sentence(go, monkeypatch):
  def events(*args, **kwargs):
    raise jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: Out of memory while trying to allocate 9 bytes.')
    yield

  monkeypatch.setattr(work.train, 'events', events)
  assert "the device's memory does not hold 2 members" in go(status=2).err


def test_labels_that_no_class_has_are_a_sentence(go, monkeypatch):
  """Only their values tell, which are not known before they are drawn."""
  monkeypatch.setattr(importlib.import_module('dynamics.data.modular'), 'noisy', lambda key, labels, classes, share: labels + 1)
  assert 'data: the labels of targets go from 1 to 5, but with outputs (n, 5) they must be 0 to 4' in go(status=2).err


def test_the_shapes_of_the_check_are_those_of_the_run(tiny, whole, table, leaves):
  (cell,) = config.cells(tiny.removeprefix('--config='))
  _, shapes = check_cell(cell)
  for probe, reading in shapes.readings.items():
    rows = rows_of(table, whole, probe)
    assert {n: rows[n].dtype for n in ('step', 'member', 'finite')} == {'step': np.int64, 'member': np.int32, 'finite': bool}
    stored = {name: values.dtype for name, values in rows.items() if name not in ('step', 'member', 'finite')}
    assert stored == work.store.tables.columns(reading)
  ended = leaves(whole)
  for path, leaf in work.store.checkpoints.trees.by_path(shapes.state._replace(probes={})).items():
    assert ended[path.replace('/', '.')].shape == (2, *leaf.shape)


def test_what_is_not_set_is_no_part_of_a_run(tiny):
  resolved = config.cells(tiny.removeprefix('--config='))[0].config
  assert not {'transforms', 'stopping', 'interventions', 'source'} & set(resolved)


def test_a_transform_and_a_stopping_rule_in_a_run(go, folders, table):
  words = ("--config.transforms=({'name': 'linearised'},)", '--config.stopping.name=at_loss', '--config.hyper.stop_loss=100.0')
  go(*words, '--config.probes.clock.on=True')
  rows = rows_of(table, folders(*words)[0], 'clock')
  assert set(rows['stopped'][rows['step'] > 0].tolist()) == {0}  # the loss is known from the first step on


def test_the_commit_is_that_of_the_code_and_of_no_repository_around_it(tmp_path, monkeypatch):
  git = lambda *words: subprocess.run(['git', '-c', 'user.name=a', '-c', 'user.email=a@b', *words], cwd=tmp_path, check=True)
  git('init', '-q')
  git('commit', '-q', '--allow-empty', '-m', 'of a user')
  (tmp_path / 'lab' / 'experiments').mkdir(parents=True)
  monkeypatch.setattr(record, '__file__', str(tmp_path / 'lab' / 'experiments' / 'record.py'))
  assert record.git_state() == 'unknown'
  monkeypatch.setattr(record, '__file__', str(tmp_path / 'experiments' / 'record.py'))
  (tmp_path / 'experiments').mkdir()
  assert len(record.git_state()) == 12


def test_cells_that_share_their_programs_are_what_they_are_alone(go, tmp_path, same):
  """Programs take the seed of the data as an argument, so that it must come from the cell itself."""
  common = ('--config.own_data=False', '--config.data.name=parity', '--config.data.train=8', '--config.steps=4')
  said = go("--config.sweep=(('data_seed',(3,4)),)", *common)
  assert said.out.count('with the programs of a cell before') == 1
  go('--config.data_seed=4', *common, f'--out={tmp_path / "alone"}')
  (alone,) = [path.parent for path in (tmp_path / 'alone').glob('*/done.json')]
  same(tmp_path / 'out' / alone.name, alone)
