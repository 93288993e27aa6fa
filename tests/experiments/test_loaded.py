"""Stored runs as users read them: whole, swept, damaged, and while another process works on them."""

import os
import signal
import socket

import jax
import numpy as np
import pytest

import experiments
from analysis import tables
from dynamics import plan, train, trees
from experiments import config, markers, run, store
from experiments.disk import StoreError
from experiments.loaded import consistent

# Reads that orbax had under way when it met a damaged file complain to a loop that is gone.
pytestmark = pytest.mark.filterwarnings('ignore:Exception ignored:pytest.PytestUnraisableExceptionWarning')

SWEPT = """
import ml_collections


def get_config():
  return ml_collections.ConfigDict(
    dict(
      data=dict(name='modular', p=5),
      model=dict(name='mlp', widths=(4,)),
      loss=dict(name='cross_entropy', dtype='float64'),
      optimizer=dict(name='sgd'),
      transforms=(dict(name='subspace', most=3),),
      hyper=dict(lr=0.01, dimension=2),
      steps=4,
      seeds=(3, 5),
      milestones=(1,),
      schedule=dict(log_points=0, stride=2),
      probes=dict(performance=dict(), predictions=dict(examples=2)),
      sweep=(('model.widths', ((3,), (4, 2))), ('hyper.lr', (0.1, 0.2))),
    )
  )
"""


@pytest.fixture(scope='module')
def swept(tmp_path_factory):
  """(config file, folder of results) of two cells of four members each."""
  folder = tmp_path_factory.mktemp('swept')
  (folder / 'swept.py').write_text(SWEPT)
  with jax.numpy_rank_promotion('allow'):
    assert run.main([f'--config={folder / "swept.py"}', f'--out={folder / "out"}', '--save_every=0']) == 0
  return folder / 'swept.py', folder / 'out'


def everything(folder):
  return {path: (path.stat().st_mtime_ns, path.is_file() and path.read_bytes()) for path in sorted(folder.rglob('*'))}


def test_a_run_is_read_from_its_folder_alone_and_nothing_is_written(whole, leaves, table):
  before = everything(whole)
  loaded = experiments.load(str(whole))
  assert everything(whole) == before
  assert (loaded.state, loaded.step, loaded.steps) == ('done', 24, (22, 24))
  assert loaded.config['model']['widths'] == (4,)
  assert loaded.settings['seed'].tolist() == [0, 1]
  stored = leaves(whole)
  flat = {'.'.join(words): array for words, array in paths({'variables': loaded.variables})}
  assert flat.keys() == {name for name in stored if name.startswith('variables')}
  for name, array in flat.items():
    np.testing.assert_array_equal(array, stored[name])
  assert loaded.summary['step'] == 24
  performance = loaded.tables['performance']
  rows = table(next((whole / 'tables').glob('performance-*')))
  np.testing.assert_array_equal(performance.sort_values(['step', 'member'])['train_loss'], rows['train_loss'])
  assert loaded.arrays['performance']['train_loss'].sel(member=1, step=4) == rows['train_loss'][5]
  assert np.isnan(loaded.arrays['meters']['loss/mean'].sel(step=0)).all()


def paths(tree, way=()):
  for name, value in tree.items():
    yield from paths(value, (*way, name)) if isinstance(value, dict) else [((*way, name), value)]


def test_a_config_gives_its_cells_with_tuples_as_tuples_and_arrays_in_their_shapes(swept):
  file, out = swept
  cells, runs = config.cells(str(file)), experiments.load(file, out=out)
  assert [r.folder.name for r in runs] == [plan.identity(cell) for cell in cells]
  for cell, loaded in zip(cells, runs, strict=True):
    assert loaded.settings['model.widths'].tolist() == [cell.swept['model.widths']] * 4
    assert loaded.settings['lr'].tolist() == list(cell.hyper['lr'])
    again = experiments.load(loaded.folder)
    assert again.settings.equals(loaded.settings)
    assert again.config == cell.config
    of_analysis = tables.load([cell], 'predictions', out, '')
    assert list(of_analysis) == list(loaded.tables['predictions'])
    readings = [name for name in of_analysis if name.startswith('outputs')]
    np.testing.assert_array_equal(of_analysis[readings], loaded.tables['predictions'][readings])
    outputs = loaded.arrays['predictions']['outputs']
    assert outputs.dims == ('member', 'step', 'outputs_0', 'outputs_1')
    assert outputs.shape == (4, 3, 2, 5)
    np.testing.assert_array_equal(outputs.lr, cell.hyper['lr'])
    rows = of_analysis[(of_analysis['member'] == 2) & (of_analysis['step'] == 4)]
    np.testing.assert_array_equal(rows[readings].to_numpy().reshape(2, 5), outputs.sel(member=2, step=4))
  (only,) = experiments.load(file, out=out, changes={'sweep': (('hyper.lr', (0.1, 0.2)),), 'model.widths': (4, 2)})
  assert only.folder == runs[1].folder


def test_the_variables_of_a_step_are_those_a_model_takes(swept):
  """The readings of that step, again: performance is the loss of these variables."""
  from experiments.build import build

  file, out = swept
  cell, loaded = config.cells(str(file))[1], experiments.load(file, step=1, out=out)[1]
  assert (loaded.step, loaded.steps) == (1, (1, 2, 4))
  newest = experiments.load(loaded.folder)
  assert newest.step == 4
  assert not np.array_equal(newest.variables['params']['coordinates'], loaded.variables['params']['coordinates'])
  with jax.enable_x64(True):
    problem = build(cell).problem({name: np.float32(values[2]) for name, values in cell.hyper.items()}, None)
    data = problem.task.draw(trees.named_key(train.seed_key(0), 'data'))
    outputs = problem.model.apply(jax.tree.map(jax.numpy.asarray, newest.member(2)), data.test.x)
    loss = problem.loss(outputs, data.test.y).mean()
  np.testing.assert_allclose(newest.arrays['performance']['test_loss'].sel(member=2, step=4), loss, rtol=1e-5)
  assert newest.arrays['performance']['test_loss'].sel(member=0, step=4) != newest.arrays['performance']['test_loss'][2, 2]
  assert newest.member(2)['frozen'].keys() == {'subspace'}


def test_mistakes_are_sentences(swept, whole, tmp_path):
  file, out = swept
  for call, words in (
    (lambda: experiments.load(whole, step=3), 'no checkpoint of step 3; there are: 22, 24. Set milestones'),
    (lambda: experiments.load(out), 'it holds 2 runs'),
    (lambda: experiments.load(tmp_path), 'it has no run.json'),
    (lambda: experiments.load(file, out=tmp_path), 'make them with python -m experiments.run --config='),
    (lambda: experiments.load(file, out=out, changes={'steps': 5}), '2 of 2 runs of this config are not in'),
  ):
    with pytest.raises(StoreError, match=words):
      call()


@pytest.mark.parametrize(
  'place', ['run.json', 'done.json', 'tables/*/part-*', 'tables/*/done.json', 'checkpoints/24/state', 'start/0/state']
)
def test_damage_anywhere_is_a_sentence(copy, flip, place):
  paths = sorted(path for path in copy.glob(place))
  files = [f for path in paths for f in (path.rglob('d/*') if path.is_dir() else [path]) if f.is_file()]
  flip(files[0])
  with pytest.raises(StoreError, match=r'as it was written|cannot be read|missing or damaged'):
    experiments.load(copy)
  if place.startswith('checkpoints'):
    assert experiments.load(copy, step=22).step == 22


def test_a_stopped_run_shows_what_its_newest_checkpoint_names(signalled, tiny, whole, tmp_path, only, flip):
  """Killed between a part and the checkpoint that would name it."""
  moment = ('checkpoints.Folder', 'save', 5, 'before', signal.SIGKILL)
  status, _, _ = signalled(moment, tiny, f'--out={tmp_path / "out"}', '--save_every=0')
  assert status == -signal.SIGKILL
  folder = only(tmp_path / 'out')
  loaded, reference = experiments.load(folder), experiments.load(whole)
  assert loaded.state == 'stopped'
  assert 0 < loaded.step < 24
  for probe, table in loaded.tables.items():
    assert table['step'].max() <= loaded.step
    whole_table = reference.tables[probe]
    assert table.equals(whole_table[whole_table['step'] <= loaded.step])


def test_a_run_that_is_worked_on_is_read_at_the_same_time(start, tiny, tmp_path, whole):
  """Again and again from its first checkpoint on; its lock is not touched, so it goes on as if nobody had looked."""
  out, steps = tmp_path / 'out', []
  process = start('-m', 'experiments.run', tiny, f'--out={out}', '--save_every=0', '--config.steps=100000')
  try:
    while process.poll() is None and len(set(steps)) < 4:
      for path in out.glob('*/checkpoints/*[0-9]'):
        loaded = experiments.load(path.parents[1])
        assert loaded.tables['performance']['step'].max() == loaded.step - loaded.step % 2
        assert loaded.variables['params']
        steps.append((loaded.step, loaded.state))
        break
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=300)
  finally:
    process.kill()
  assert (process.returncode, 'Traceback' in err) == (130, False)
  assert 'all saved' in out
  assert [step for step, _ in steps] == sorted(step for step, _ in steps)
  assert len({step for step, _ in steps}) > 1
  assert 'running' in {state for _, state in steps}


def test_files_that_go_meanwhile_are_looked_for_again(tmp_path):
  (tmp_path / 'checkpoints').mkdir()

  def read():
    calls.append(1)
    if len(calls) < 3:
      (tmp_path / 'checkpoints' / str(len(calls))).touch()
      raise StoreError('gone')
    return 'read'

  calls = []
  assert consistent(tmp_path, read) == 'read'
  with pytest.raises(StoreError, match='gone'):
    consistent(tmp_path, lambda: (_ for _ in ()).throw(StoreError('gone')))


def test_the_holder_of_a_lock_is_told_without_taking_it(tmp_path):
  folder = tmp_path / 'run'
  assert markers.holder(folder) is None
  with store.opened(folder, (), print):
    assert markers.holder(folder) == os.getpid()
  assert (folder / 'lock').read_text() == ''
  assert markers.holder(folder) is None
  (folder / 'lock').write_text(f'pid {os.getpid()} on {socket.gethostname()}')
  assert markers.holder(folder) is None  # the process lives, and does not hold it
  (folder / 'lock').write_text('pid 999999999')
  assert markers.holder(folder) is None


def test_parts_without_shapes_are_read_with_one_axis(copy, tmp_path):
  """As they were written before parts held shapes."""
  assert tables.shapes(next(copy.glob('tables/performance-*/part-*')))['train_loss'] == ()
  import duckdb

  old = tmp_path / 'old.parquet'
  duckdb.sql("COPY (SELECT 1 AS step, 0 AS member) TO '" + str(old) + "' (FORMAT parquet)")
  assert tables.shapes(old) is None
