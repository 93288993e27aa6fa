"""Tables and their export, on a real run of a tiny config."""

import io
import shutil
import subprocess
import sys

import duckdb
import numpy as np
import pandas as pd
import pytest

from analysis import export, tables
from dynamics.plan import identity
from experiments import config, run

TINY = [
  '--config=configs/prieto2025_fig1.py',
  '--config.data.p=5',
  '--config.model.widths=(8,)',
  '--config.seeds=(3,4)',
  '--config.sweep=((("loss.dtype","hyper.lr"),(("float32",0.1),("float16",0.2))),("hyper.eps",(1e-8,1e-6)))',
  '--config.steps=3',
  '--config.loss.dtype=float32',
]


@pytest.fixture(scope='module')
def stored(tmp_path_factory):
  out = tmp_path_factory.mktemp('results')
  assert run.main([*TINY, f'--out={out}']) == 0
  return out


def test_one_row_a_member_and_time_with_hyper_values_and_swept_fields_as_columns(stored):
  cells, _ = config.read(TINY)
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


def test_nan_comes_back_as_nan(stored):
  cells, _ = config.read(TINY)
  table = tables.load(cells, 'meters', stored, 'the command')
  at_start = table[table['step'] == 0]
  assert at_start['loss/mean'].isna().all()
  assert not at_start['finite'].any()
  assert np.isfinite(table[table['step'] == 3]['loss/mean']).all()


def test_export_as_csv_and_parquet_agree(stored, tmp_path, capsys):
  words = [*TINY, '--probe=distance', f'--out={stored}']
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
    (['--probe=distanc'], "has no table of 'distanc'"),
    ([], '--probe'),
    (['--probe=distance', '--format=xls'], 'xls'),
    (['--probe=distance', '--to=/nowhere/table.csv'], '/nowhere/table.csv cannot be written'),
    (['--probe=distance', '--to=/nowhere/t.parquet', '--format=parquet'], '/nowhere/t.parquet cannot be written'),
    (['--probe=distance', '--colour=red'], '--colour=red is no argument'),
    (['--probe=distance', '--config.hyper.lrr=1'], "did you mean 'lr'"),
  ],
)
def test_mistakes_are_one_sentence(stored, words, said, capsys):
  assert export.main([*TINY, *words, f'--out={stored}']) == 2
  error = capsys.readouterr().err
  assert said in error
  assert error.startswith('error: ')
  assert error.count('\n') == 1


def test_a_damaged_part_is_a_sentence_and_no_figure(stored, tmp_path):
  copy = tmp_path / 'results'
  shutil.copytree(stored, copy)
  cells, _ = config.read(TINY)
  part = next(copy.glob(f'{identity(cells[0])}/tables/norms/part-*'))
  part.write_bytes(part.read_bytes()[:-1] + b'?')
  with pytest.raises(tables.Missing, match='missing or damaged'):
    tables.load(cells, 'norms', copy, 'the command')


def test_analysis_needs_no_jax():
  code = 'import sys; import analysis.series, analysis.claims, analysis.fits, analysis.export; print("jax" in sys.modules)'
  ran = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
  assert ran.stdout.strip() == 'False'
