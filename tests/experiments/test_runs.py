"""Whole commands in this process: what they store, and what they say of it."""

import json
import signal

import jax
import numpy as np
import pytest

from experiments import config, run, store, supervised, tables


@pytest.fixture
def go(tiny, tmp_path, capsys):
  """Runs a command that must succeed: (what it said, its folders in the order of its cells)."""

  def call(*words, status=0):
    words = [tiny, '--out', str(tmp_path / 'out'), *words]
    assert run.main(words) == status
    out, err = capsys.readouterr()
    assert status or err == ''
    return out, [tmp_path / 'out' / run_name for run_name in _names(words)]

  return call


def _names(words):
  from dynamics import plan

  return [plan.identity(cell) for cell in config.read([word for word in words if word.startswith('--config')])[0]]


TEACHER = (
  '--config.data.name=teacher',
  '--config.data.train=20',
  '--config.data.test=20',
  '--config.loss.name=mean_squared_error',
  '--config.optimizer.name=sgd',
)


def test_a_diverged_member_is_kept_and_told(go, table):
  out, (folder,) = go(*TEACHER, "--config.sweep=(('hyper.lr', (0.01, 1e6)),)", '--config.seeds=(3,4)')
  assert 'diverged: 2 of 4 members: 2 (seed 3, lr 1e+06); 3 (seed 4, lr 1e+06)' in out
  assert store.read_done(folder)['diverged'] == [2, 3]
  rows = table(folder / 'tables' / 'performance')
  last = rows['step'] == 24
  np.testing.assert_array_equal(rows['member'][last], [0, 1, 2, 3])
  np.testing.assert_array_equal(rows['finite'][last], [True, True, False, False])
  np.testing.assert_array_equal(np.ma.getmaskarray(rows['train_loss'])[last], [False, False, True, True])  # NaN is NULL
  assert np.ma.filled(rows['train_loss'], np.nan)[last][:2].max() < 10
  alone, (other,) = go(*TEACHER, '--config.hyper.lr=0.01', '--config.seeds=(3,4)')
  assert 'diverged:' not in alone
  fine = table(other / 'tables' / 'performance')
  here = rows['member'] < 2
  np.testing.assert_allclose(rows['test_loss'][here], fine['test_loss'], rtol=1e-4)


def test_float64_in_one_cell_of_two_and_nothing_leaks(go, table):
  _, folders = go("--config.sweep=(('loss.dtype', ('float64', 'float32')),)")
  assert len(folders) == 2
  kinds = [table(folder / 'tables/performance')['train_loss'].dtype for folder in folders]
  assert kinds == [np.float64, np.float32]
  assert not jax.config.jax_enable_x64
  out, _ = go("--config.sweep=(('loss.dtype', ('float64', 'float32')),)")
  assert out.count('done before') == 2


def test_what_is_recorded(go):
  _, (folder,) = go('--config.hyper.lr=0.02')
  record = json.loads((folder / 'run.json').read_text())
  assert record['seeds'] == [0, 1]
  assert record['hyper']['lr'] == [0.02, 0.02]
  assert record['config']['layout'] == 'vmap'
  assert record['revision'] == supervised.REVISION
  (session,) = record['sessions']
  assert session['versions']['jax'] == jax.__version__
  assert session['device'] == jax.devices()[0].device_kind
  assert session['mesh'] == {'member': 2, 'data': 1}
  assert session['command'].startswith('python -m experiments.run --config=')
  assert set(session) == {'versions', 'device', 'mesh', 'git', 'command', 'at'}
  done = json.loads((folder / 'done.json').read_text())
  assert done['step'] == 24
  assert {'start', 'train', 'performance', 'meters'} <= set(done['seconds'])


def test_a_run_that_went_on_elsewhere_says_so(go, monkeypatch):
  _, (folder,) = go()
  (folder / 'done.json').unlink()
  here = run.surroundings
  monkeypatch.setattr(run, 'surroundings', lambda grid: {**here(grid), 'device': 'abacus'})
  out, _ = go()
  assert 'device changed since this run began' in out
  assert 'going on from step 24' in out  # nothing but the done-marker was missing


def test_results_of_older_code_are_not_taken(go, monkeypatch):
  _, (old,) = go()
  monkeypatch.setattr(supervised, 'REVISION', supervised.REVISION + 1)
  out, (new,) = go()
  assert 'done before' not in out
  assert old != new
  assert store.is_done(old)
  assert store.is_done(new)


def test_a_damaged_finished_run_is_told_and_mended(go, capsys, whole, table):
  _, (folder,) = go()
  before = table(folder / 'tables/meters')
  (part,) = (folder / 'tables/meters').iterdir()
  part.write_bytes(part.read_bytes()[:100])
  with pytest.raises(AssertionError):
    go()
  err = capsys.readouterr().err
  assert err.startswith(f'error: {part} is missing or damaged')
  assert err.count('\n') == 1
  assert f'remove {folder / "done.json"}' in err
  (folder / 'done.json').unlink()
  out, _ = go()
  assert 'its table part' in out
  assert 'begins again' in out
  after = table(folder / 'tables/meters')
  for name in before:
    np.testing.assert_array_equal(before[name], after[name])


def test_milestones_are_kept_with_step_0(go):
  _, (folder,) = go('--config.milestones=(0,5,24)', '--save_every=1000')
  assert sorted(int(p.name) for p in (folder / 'checkpoints').iterdir()) == [0, 5, 24]


def test_all_probes_off(go):
  _, (folder,) = go(*(f'--config.probes.{name}.on=False' for name in supervised.probes.__all__))
  assert not (folder / 'tables').exists()
  assert store.read_done(folder)['parts'] == {}


def test_one_probe_off_leaves_the_others_on(tiny):
  def on(config):
    return list(supervised.resolve_config(config)[0]['probes'])

  plain = {k: v for k, v in config.load(tiny.removeprefix('--config=')).items() if k != 'probes'}
  every = on(plain)
  assert every == list(supervised.probes.USUAL)
  assert on({**plain, 'probes': {'norms': {'on': False}}}) == [name for name in every if name != 'norms']
  assert on({**plain, 'probes': {'meters': {}}}) == on({**plain, 'probes': {'meters': {'on': True}}}) == ['meters']
  assert on({**plain, 'probes': {name: {'on': False} for name in every}}) == []


def test_a_stop_in_the_first_of_two_cells(go, monkeypatch):
  words = ("--config.sweep=(('model.bias', (True, False)),)",)
  real, calls = store.Run.append, []

  def append(self, *args):
    calls.append(None)
    if len(calls) == 5:
      signal.raise_signal(signal.SIGTERM)
    real(self, *args)

  before = signal.getsignal(signal.SIGTERM)
  monkeypatch.setattr(store.Run, 'append', append)
  out, folders = go(*words, status=130)
  assert signal.getsignal(signal.SIGTERM) == before
  assert 'cell 2/2' not in out
  assert not folders[1].exists()
  out, _ = go(*words)
  assert out.index('going on from step') < out.index('cell 2/2')
  assert all(store.is_done(folder) for folder in folders)


def test_a_stop_while_a_cell_is_finished_ends_before_the_next(go, monkeypatch):
  real = store.Run.finish

  def finish(self, *args):
    signal.raise_signal(signal.SIGINT)
    real(self, *args)

  monkeypatch.setattr(store.Run, 'finish', finish)
  out, folders = go("--config.sweep=(('model.bias', (True, False)),)", status=130)
  assert [store.is_done(folder) for folder in folders] == [True, False]
  assert 'stopped before cell 2 of 2' in out
  assert 'go on with: python -m experiments.run' in out


def test_a_device_without_memory_is_a_sentence(go, monkeypatch, capsys, tiny, tmp_path):
  from dynamics import train

  def events(*args, **kwargs):
    raise jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: Out of memory while trying to allocate 9 bytes.')
    yield

  monkeypatch.setattr(train, 'events', events)
  assert run.main([tiny, '--out', str(tmp_path / 'out')]) == 2
  err = capsys.readouterr().err
  assert err.startswith("error: the device's memory does not hold 2 members")
  assert err.count('\n') == 1


def test_the_schema_is_that_of_the_stored_tables(go, table):
  # Some probes refuse tokens, and `recovery` all but matrices.
  everything = [f'--config.probes.{name}.on=True' for name in supervised.probes.__all__ if name != 'recovery']
  _, (folder,) = go('--config.data.name=parity', *everything, '--config.steps=2')
  changes = [('data.name', 'parity'), *((w[9:].split('=')[0], True) for w in everything), ('steps', 2)]
  (cell,) = config.cells(str(folder.parents[1] / 'tiny.py'), changes)
  from dynamics import train

  expected, _ = tables.schema(supervised.build(cell.config), train.join(cell.seeds, cell.hyper))
  assert set(expected) == set(supervised.probes.__all__) - {'recovery'} == {p.name for p in (folder / 'tables').iterdir()}
  for probe, columns in expected.items():
    rows = table(folder / 'tables' / probe)
    assert {n: rows[n].dtype for n in ('step', 'member', 'finite')} == {'step': np.int64, 'member': np.int32, 'finite': bool}
    assert {name: values.dtype for name, values in rows.items() if name not in ('step', 'member', 'finite')} == columns


def test_a_subspace_is_part_of_a_run_only_where_asked_for_and_its_dimension_is_a_hyper_value(tiny, go, table):
  plain = supervised.resolve_config(config.load(tiny.removeprefix('--config=')))[0]
  assert 'subspace' not in plain
  assert 'dimension' not in plain['hyper']
  sweep = "--config.sweep=(('hyper.dimension', (2.0, 9.0)),)"
  _, (folder,) = go('--config.subspace.most=9', '--config.hyper.dimension=9', '--config.probes.distance.on=True', sweep)
  assert json.loads((folder / 'run.json').read_text())['config']['subspace'] == {'most': 9, 'kind': 'hadamard'}
  rows = table(folder / 'tables' / 'distance')
  assert len(set(rows['member'])) == 2 * len(plain['seeds'])
  assert (rows['distance'][rows['step'] > 0] > 0).all()


def test_a_predictor_and_a_loss_level_are_part_of_a_run_only_where_asked_for(tiny, go, table):
  plain = supervised.resolve_config(config.load(tiny.removeprefix('--config=')))[0]
  assert 'predictor' not in plain
  assert 'stop_loss' not in plain['hyper']
  _, (folder,) = go('--config.predictor.linearised=True', '--config.hyper.stop_loss=100.0', '--config.probes.clock.on=True')
  rows = table(folder / 'tables/clock')
  assert set(rows['stopped'][rows['step'] > 0].tolist()) == {0}  # the loss is known from the first step on
