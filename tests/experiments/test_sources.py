"""Runs that begin with another run: fine-tuning, distillation, going on, and chains of them."""

import numpy as np
import pytest

from dynamics import plan
from dynamics.schema import ConfigError
from experiments import config, markers
from experiments.check import check_cell

TEXT = """
import ml_collections


def get_config():
  return ml_collections.ConfigDict(
    dict(
      data=dict(name='modular', p=5{data}),
      model=dict(name='mlp', widths=({width},)),
      loss=dict(name='cross_entropy'),
      optimizer=dict(name={optimizer!r}),
      hyper=dict(lr=0.01),
      steps={steps},
      seeds={seeds},
      own_data=True,
      schedule=dict(log_points=0, stride=4),
      probes=dict(performance=dict()),
      {more}
    )
  )
"""


@pytest.fixture
def write(tmp_path):
  """Writes a config into tmp_path; gives its path."""

  def to(name, *, data='', width=4, steps=8, seeds=(0, 1), optimizer='adamw', more=''):
    path = tmp_path / f'{name}.py'
    path.write_text(TEXT.format(data=data, width=width, steps=steps, seeds=seeds, optimizer=optimizer, more=more))
    return str(path)

  return to


def source(path, **fields):
  return f'source=dict(config={path!r}, {", ".join(f"{name}={value!r}" for name, value in fields.items())}),'


def cell_of(path, *changes):
  (cell,) = config.cells(path, changes)
  return cell


@pytest.fixture
def folder(tmp_path):
  """The folder of a config's only cell."""
  return lambda path: tmp_path / 'out' / plan.identity(cell_of(path))


def test_fine_tuning_on_another_task_begins_at_the_end_of_the_first(write, go, folder, leaves):
  first = write('first')
  second = write('second', data=", operation='multiply'", more=source(first) + "init=dict(name='source'), milestones=(0,),")
  said = go(f'--config={second}').out
  assert said.index('its source') < said.index(plan.identity(cell_of(second)))  # a missing source run is made first
  begun, ended = leaves(folder(second), 0), leaves(folder(first))
  params = [name for name in begun if name.startswith('variables.params')]
  assert params
  for name in params:
    np.testing.assert_array_equal(begun[name], ended[name])
  assert said.count('done in') == 2
  again = go(f'--config={second}').out
  assert again.count('done before') == 2


def test_distilling_into_a_narrower_network(write, go, folder, table):
  first = write('first', width=8)
  second = write('second', width=3, steps=40, more=source(first) + "objective=dict(name='distillation'),")
  go(f'--config={second}')
  (tables,) = (folder(second) / 'tables').iterdir()
  rows = table(tables)
  assert rows['step'].max() == 40
  assert np.isfinite(rows['train_loss']).all()


def test_going_on_equals_an_unbroken_run_to_the_bit(write, go, folder, table, leaves):
  short, long = write('short', steps=8), write('long', steps=16)
  more = write('more', steps=16, more=source(short, take='state'))
  go(f'--config={long}')
  go(f'--config={more}')
  ours, theirs = leaves(folder(more)), leaves(folder(long))
  assert ours.keys() == theirs.keys()
  for name in ours:
    assert ours[name].tobytes() == theirs[name].tobytes(), name
  (a,), (b,) = ((folder(path) / 'tables').iterdir() for path in (more, long))
  rows, all_rows = table(a), table(b)
  later = all_rows['step'] > 8
  for name in rows:
    np.testing.assert_array_equal(rows[name], all_rows[name][later], err_msg=name)
  words = (f'--config={more}', '--config.probes.distance.on=True', '--config.milestones=(3, 12)')
  go(*words)  # the replay begins where the source ends, too
  assert (folder(more) / 'checkpoints' / '12').is_dir()
  assert go(*words).out.splitlines()[-1] == '2 cells, sources included: 2 found done'


def test_a_source_at_a_step_is_kept_there(write, go, folder, leaves):
  first = write('first')
  second = write('second', more=source(first, at=4) + "init=dict(name='source'), milestones=(0,),")
  go(f'--config={first}')
  said = go(f'--config={second}').out
  assert 'reading checkpoints' in said  # the milestone that the first run did not have
  name = 'variables.params.readout.kernel'
  np.testing.assert_array_equal(leaves(folder(second), 0)[name], leaves(folder(first), 4)[name])


def test_members_are_paired_by_seed(write, go, folder, leaves):
  first = write('first', seeds=(2, 1, 0))
  second = write('second', seeds=(0, 2), more=source(first) + "init=dict(name='source'), milestones=(0,),")
  assert cell_of(second).source.members == (2, 0)
  go(f'--config={second}')
  name = 'variables.params.readout.kernel'
  np.testing.assert_array_equal(leaves(folder(second), 0)[name], leaves(folder(first))[name][[2, 0]])


def test_one_member_of_a_sweep_is_selected(write):
  first = write('first', more="sweep=(('hyper.lr', (0.01, 0.02)), ('model.bias', (True, False))),")
  choice = {'hyper': {'lr': 0.02}, 'model': {'bias': False}}
  cell = cell_of(write('second', more=source(first, select=choice) + "init=dict(name='source'),"))
  assert cell.source.cell.config['model']['bias'] is False
  assert [cell.source.cell.hyper['lr'][i] for i in cell.source.members] == [0.02, 0.02]
  assert [cell.source.cell.seeds[i] for i in cell.source.members] == [0, 1]


def test_the_sources_identity_is_part_of_ours(write):
  first, other = write('first'), write('other', steps=9)
  identity = lambda text: plan.identity(cell_of(write('second', more=text + "init=dict(name='source'),")))
  plain = identity(source(first))
  assert plain != identity(source(other))
  assert plain != identity(source(first, at=4))
  write('first', more='milestones=(2,),')
  assert plain == identity(source(first))


def test_a_plan_shows_the_chain(write, go, tmp_path):
  first = write('first')
  second = write('second', more=source(first) + "init=dict(name='source'),")
  third = write('third', more=source(second) + "init=dict(name='source'),")
  *lines, total = [line for line in go(f'--config={third}', '--dry_run').out.splitlines() if 'reading the config' not in line]
  assert [line.split()[0] for line in lines] == [plan.identity(cell_of(path)) for path in (first, second, third)]
  assert [line.split('  [')[-1] for line in lines] == ['source]', 'source]', 'the only cell]']
  assert all('to run' in line for line in lines)
  assert total.startswith('3 cells, 6 members, ')
  assert not (tmp_path / 'out').exists()


def test_a_source_that_is_damaged_is_told_and_made_anew(write, go, folder):
  first = write('first')
  second = write('second', more=source(first) + "init=dict(name='source'),")
  go(f'--config={first}')
  for path in (folder(first) / 'checkpoints' / '8' / 'state').rglob('*'):
    path.is_file() and path.write_bytes(path.read_bytes()[:-5])
  err = go(f'--config={second}', status=2).err
  assert f'remove {folder(first) / "done.json"} and give the same command again' in err
  (folder(first) / 'done.json').unlink()
  go(f'--config={second}')
  assert markers.read_done(folder(second))['step'] == 8


REFUSED = [
  ({}, "init 'source' needs a block source", "init=dict(name='source'),", None),
  ({}, 'no field of source', None, dict(selct=1)),
  ({}, "must be 'end' or a step up to 8", None, dict(at=9)),
  ({}, 'source.at', None, dict(at='start')),
  ({}, "source.take is 'all'", None, dict(take='all')),
  ({}, "source.select is 'lr'; it must be a block", None, dict(select='lr')),
  ({}, 'source.select names hyper.lrr, which is no field', None, dict(select={'hyper': {'lrr': 1}})),
  ({}, 'no member of seed 0', None, dict(select={'hyper': {'lr': 7.0}})),
  (dict(seeds=(0, 5)), 'no member of seed 5', None, {}),
  (dict(steps=8), 'train longer', None, dict(take='state')),
]


@pytest.mark.parametrize(('fields', 'words', 'text', 'block'), REFUSED, ids=[case[1] for case in REFUSED])
def test_a_bad_source_is_a_sentence(write, fields, words, text, block):
  first = write('first')
  text = text or source(first, **block) + "init=dict(name='source'),"
  with pytest.raises(ConfigError) as caught:
    check_cell(cell_of(write('second', **fields, more=text)))
  assert words in str(caught.value)


def test_several_members_a_seed_are_refused(write):
  first = write('first', more="sweep=(('hyper.lr', (0.01, 0.02)),),")
  with pytest.raises(ConfigError, match='2 members of seed 0'):
    cell_of(write('second', more=source(first) + "init=dict(name='source'),"))


@pytest.mark.parametrize('fields', [dict(width=5), dict(optimizer='sgd'), dict(seeds=(0,), data=", operation='s5'")], ids=str)
def test_a_state_that_does_not_fit_is_refused(write, fields):
  first = write('first')
  with pytest.raises(ConfigError, match='has other shapes'):
    check_cell(cell_of(write('second', steps=16, **fields, more=source(first, take='state'))))


def test_a_probe_that_listens_from_the_start_cannot_begin_in_the_middle(write):
  path = write('second', steps=16, more=source(write('first'), take='state'))
  with pytest.raises(ConfigError, match='it listens from the start'):
    check_cell(cell_of(path, ('probes.path.on', True)))


def test_a_source_that_is_no_config(write, tmp_path):
  with pytest.raises(ConfigError, match='is no file'):
    cell_of(write('second', more=source(str(tmp_path / 'nothing.py'))))


def test_a_mistake_in_the_source_is_told_before_anything_is_written(write, go, tmp_path):
  first = write('first', data=", operation='divide'")
  text = (tmp_path / 'first.py').read_text().replace('p=5', 'p=6')
  (tmp_path / 'first.py').write_text(text)
  second = write('second', more=source(first) + "init=dict(name='source'),")
  assert 'not prime' in go(f'--config={second}', status=2).err
  assert not (tmp_path / 'out').exists()
