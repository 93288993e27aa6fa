"""Tables and their export, on a real run of a tiny config."""

import io
import json
import shutil
import subprocess
import sys

import duckdb
import jax
import numpy as np
import pandas as pd
import pytest

from analysis import export, tables
from dynamics.plan import identity, table_identity
from experiments import config, run
from paper_figures import __main__ as figures

TEXT = """
import ml_collections


def get_config():
  return ml_collections.ConfigDict(
    dict(
      data=dict(name='modular', p=5),
      model=dict(name='mlp', widths=(4,)),
      loss=dict(name='cross_entropy'),
      optimizer=dict(name='adamw'),
      hyper=dict(lr=0.01),
      steps=3,
      seeds=(3, 4),
      schedule=dict(log_points=0, stride=1),
      probes=dict(performance=dict(), meters=dict(), distance=dict(), predictions=dict(examples=2)),
      sweep=(
        (('loss.dtype', 'hyper.lr'), (('float32', 0.1), ('float16', 0.2))),
        ('hyper.eps', (1e-8, 1e-6)),
      ),
    )
  )
"""


@pytest.fixture(scope='module')
def tiny(tmp_path_factory):
  path = tmp_path_factory.mktemp('configs') / 'tiny.py'
  path.write_text(TEXT)
  return f'--config={path}'


@pytest.fixture(scope='module')
def stored(tiny, tmp_path_factory):
  out = tmp_path_factory.mktemp('results')
  with jax.numpy_rank_promotion('allow'):
    assert run.main([tiny, f'--out={out}']) == 0
  return out


@pytest.fixture
def copy(stored, tmp_path):
  return shutil.copytree(stored, tmp_path / 'results', ignore=shutil.ignore_patterns('.programs'))


@pytest.fixture(autouse=True)
def _users_ranks():
  with jax.numpy_rank_promotion('allow'):
    yield


def test_one_row_a_member_and_time_with_hyper_values_and_swept_fields_as_columns(tiny, stored):
  cells, _ = config.read([tiny])
  table = tables.load(cells, 'performance', stored, 'the command')
  assert len(table) == 2 * 2 * 2 * 4  # dtypes, eps, seeds; steps 0 to 3
  assert set(table['seed']) == {3, 4}
  assert set(zip(table['loss.dtype'], table['lr'], strict=True)) == {('float32', 0.1), ('float16', 0.2)}
  assert set(table['eps']) == {1e-8, 1e-6}
  arm = table[(table['loss.dtype'] == 'float32') & (table['eps'] == 1e-8)]
  cube = tables.cube(arm)
  assert cube['train_loss'].sizes == {'seed': 2, 'step': 4}
  assert cube['train_loss'].sel(seed=3, step=0).item() == arm[(arm.seed == 3) & (arm.step == 0)]['train_loss'].item()
  with pytest.raises(ValueError, match='select one setting first'):
    tables.cube(table)


def test_nan_comes_back_as_nan(tiny, stored):
  cells, _ = config.read([tiny])
  table = tables.load(cells, 'meters', stored, 'the command')
  at_start = table[table['step'] == 0]
  assert at_start['loss/mean'].isna().all()
  assert not at_start['finite'].any()
  assert np.isfinite(table[table['step'] == 3]['loss/mean']).all()


def test_export_as_csv_and_parquet_agree(tiny, stored, tmp_path, capsys):
  words = [tiny, '--probe=distance', f'--out={stored}']
  assert export.main(words) == 0
  csv = pd.read_csv(io.StringIO(capsys.readouterr().out))
  assert export.main([*words, '--format=parquet', f'--to={tmp_path / "table.parquet"}']) == 0
  parquet = duckdb.sql(f"SELECT * FROM '{tmp_path / 'table.parquet'}'").df()
  assert list(csv.columns) == list(parquet.columns)
  np.testing.assert_allclose(csv['relative'], parquet['relative'], rtol=1e-6)


@pytest.mark.parametrize(
  ('words', 'said'),
  [
    (['--probe=distance', '--config.seeds=(9,)'], 'make them with: python -m experiments.run --config='),
    (['--probe=distanc'], "'distanc' is no probe of this config; there are: distance, "),
    ([], '--probe'),
    (['--probe=distance', '--format=xls'], 'xls'),
    (['--probe=distance', '--to=/nowhere/table.csv'], '/nowhere/table.csv cannot be written'),
    (['--probe=distance', '--to=/nowhere/t.parquet', '--format=parquet'], '/nowhere/t.parquet cannot be written'),
    (['--probe=distance', '--colour=red'], '--colour is no argument'),
    (['--probe=distance', '--config.hyper.lrr=1'], "did you mean 'lr'"),
  ],
)
def test_mistakes_are_one_sentence(tiny, stored, words, said, capsys):
  assert export.main([tiny, *words, f'--out={stored}']) == 2
  error = capsys.readouterr().err
  assert said in error
  assert error.startswith('error: ')
  assert error.count('\n') == 1


def place(out, tiny, probe):
  """The table of the first cell."""
  cells, _ = config.read([tiny])
  return out / identity(cells[0]) / 'tables' / table_identity(cells[0], probe)


def edited(path):
  """One part removed, as an editor would."""
  content = json.loads(path.read_text())
  content['parts'].popitem() if 'parts' in content else content.update(step=0, config={})
  path.write_text(json.dumps(content))


DAMAGES = {
  'gone': lambda path: path.unlink(),
  'edited': edited,
  **{str(raw): lambda path, raw=raw: path.write_bytes(raw) for raw in (b'', b'{"parts": ', b'null', b'[]', b'{}', b'\xff\xfe')},
}


@pytest.mark.parametrize('damage', DAMAGES)
@pytest.mark.parametrize('name', ['done.json', 'run.json', 'tables/done.json'])
def test_a_file_that_is_not_as_it_was_written_is_a_sentence(tiny, copy, capsys, name, damage):
  table = place(copy, tiny, 'distance')
  DAMAGES[damage](table / 'done.json' if name.startswith('tables') else table.parents[1] / name)
  assert export.main([tiny, '--probe=distance', f'--out={copy}']) == 2
  out, error = capsys.readouterr()
  assert out == ''
  assert error.startswith('error: ')
  assert error.count('\n') == 1
  assert 'python -m experiments.run --config=' in error


@pytest.mark.parametrize('damage', [lambda path: path.write_bytes(path.read_bytes()[:-1] + b'?'), lambda path: path.unlink()])
def test_a_damaged_part_is_a_sentence_and_no_table(tiny, copy, damage):
  cells, _ = config.read([tiny])
  damage(next(place(copy, tiny, 'distance').glob('part-*')))
  with pytest.raises(tables.Missing, match=r'missing or damaged; make it again with: the command'):
    tables.load(cells, 'distance', copy, 'the command')


def test_done_asks_for_the_training_and_for_all_tables(tiny, copy):
  cells, _ = config.read([tiny])
  assert tables.done(cells, copy) == [True, True]
  (place(copy, tiny, 'meters') / 'done.json').unlink()
  assert tables.done(cells, copy) == [False, True]
  assert len(tables.load(cells, 'distance', copy, 'the command')) == 32  # the others can be read
  with pytest.raises(tables.Missing, match='1 of 2 tables'):
    tables.load(cells, 'meters', copy, 'the command')
  more, _ = config.read([tiny, '--config.probes.norms.on=True'])
  assert tables.done(more, copy) == [False, False]
  assert tables.done(cells, copy / 'nowhere') == [False, False]


def test_an_array_comes_back_with_its_entries_in_order(tiny, stored):
  cells, _ = config.read([tiny])
  table = tables.load(cells, 'predictions', stored, 'the command')
  assert [name for name in table if name.startswith('outputs')] == [
    f'outputs/{i}' for i in range(10)
  ]  # two examples, five classes
  assert np.isfinite(table[[f'outputs/{i}' for i in range(10)]]).all(axis=None)


def test_names_with_quotes_and_patterns(tiny, copy, tmp_path, capsys):
  odd = copy.rename(tmp_path / "it's [1]*")
  to = tmp_path / "it's'); DROP TABLE readings; --.parquet"
  assert export.main([tiny, '--probe=distance', '--format=parquet', f'--to={to}', f'--out={odd}']) == 0
  assert capsys.readouterr().err == ''
  assert to.is_file()
  assert len(duckdb.read_parquet(str(to)).df()) == 32


def test_analysis_needs_no_jax():
  code = 'import sys; import analysis.series, analysis.claims, analysis.fits, analysis.export; print("jax" in sys.modules)'
  ran = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
  assert ran.stdout.strip() == 'False'


@pytest.mark.parametrize('damage', [b'', b'null', b'[]', b'{}', b'\xff\xfe'], ids=str)
def test_figures_of_runs_that_are_not_as_they_were_written_are_a_sentence(tmp_path, capsys, damage):
  paper = figures.importlib.import_module('paper_figures.demo')
  for cell in config.cells(figures.wanted(paper)[0]):
    folder = tmp_path / identity(cell)
    for place in (folder, *(folder / 'tables' / table_identity(cell, probe) for probe in cell.probes)):
      place.mkdir(parents=True)
      (place / 'done.json').write_bytes(damage)
  for words in (['--list'], ['--draw_only', f'--to={tmp_path / "figures"}']):
    assert figures.main(['demo', f'--out={tmp_path}', *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith('error: ')
    assert error.count('\n') == 1


def test_figures_go_to_a_folder(tmp_path, capsys):
  (tmp_path / 'file').write_text('a letter')
  for to in ('file', 'file/below'):
    assert figures.main(['demo', '--draw_only', f'--out={tmp_path}', f'--to={tmp_path / to}']) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: --to is '{tmp_path / to}'")
    assert error.count('\n') == 1
  assert (tmp_path / 'file').read_text() == 'a letter'
