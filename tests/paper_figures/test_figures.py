"""Every figure draws from a synthetic table, every claim reads one, and what is written can be found again."""

import functools
import importlib
import json
import math

import numpy as np
import pandas as pd
import pytest

from analysis import claims, series, tables
from experiments import config as configs
from experiments import tables as stored
from experiments.check import check_cell
from paper_figures import __main__ as command
from paper_figures import output

PAPERS = command.names()


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
  """Intervals of random numbers: a bootstrap of 10,000 would be most of the time."""
  monkeypatch.setattr('analysis.statistics.RESAMPLES', 100)


@functools.cache
def cells_of(config):
  return configs.cells(config)


def traced(cell):
  """(times, column -> dtype), both by probe."""
  study, shapes = check_cell(cell)
  return study.schedule, {probe: stored.columns(reading) for probe, reading in shapes.readings.items()}


@functools.cache
def schema_of(config):
  """`traced` of each cell. What both ends of a sweep have in common, the cells between them have too."""
  cells = cells_of(config)
  first, last = traced(cells[0]), traced(cells[-1])
  return [first] * len(cells) if first == last else [traced(cell) for cell in cells]


@functools.cache
def synthetic(config, probe):
  """A table with the columns, times and labels of the real one, and random readings between 0 and 1."""
  rng, rows = np.random.default_rng(0), []
  for cell, (schedule, kinds) in zip(cells_of(config), schema_of(config), strict=True):
    step, member = (grid.ravel() for grid in np.meshgrid(schedule[probe], np.arange(cell.members), indexing='ij'))
    readings = {name: rng.uniform(0.01, 1, len(step)).astype(dtype) for name, dtype in kinds[probe].items()}
    if 'train_accuracy' in readings:
      readings['train_accuracy'] = np.where(step > 10, 1.0, 0.5)
    rows.append(tables.labelled(cell, {'step': step, 'member': member, 'finite': np.ones(len(step), bool), **readings}))
  return pd.concat(rows, ignore_index=True)


def figures():
  """The first of every second paper, and in the slow tier all others; the claims of all papers are read in any case."""
  marks = lambda place, number: [pytest.mark.slow] if number or place % 2 else []
  every = [(paper, importlib.import_module(f'paper_figures.{paper}').FIGURES) for paper in PAPERS]
  return [
    pytest.param(paper, figure, marks=marks(place, number), id=figure.name)
    for place, (paper, those) in enumerate(every)
    for number, figure in enumerate(those)
  ]


@pytest.mark.parametrize(('paper', 'figure'), figures())
def test_every_figure_draws_from_a_synthetic_table_and_says_what_it_shows(paper, figure, tmp_path):
  drawn = []

  def draw(get):
    drawn.append(figure.draw(get))
    return drawn[0]

  png = output.figure(figure._replace(draw=draw), synthetic, cells_of, tmp_path, tmp_path / 'gallery')
  assert png.stat().st_size > 10_000
  assert (tmp_path / 'gallery' / png.name).stat().st_size < output.THUMBNAIL
  assert png.with_suffix('.pdf').is_file()
  assert len(list(tmp_path.glob(f'{figure.name}_*.csv'))) >= 1
  runs = json.loads(png.with_suffix('.json').read_text())['runs']
  assert len(runs) == sum(len(cells_of(config)) for config in figure.configs)
  axes = drawn[0].axes
  assert all(ax.get_xlabel() for ax in axes)
  assert all(ax.get_ylabel() for ax in axes if ax.get_subplotspec().is_first_col())
  assert any(ax.get_legend() for ax in axes)


@pytest.mark.parametrize('paper', PAPERS)
def test_every_claim_reads_a_number_a_seed_or_a_group_of_them_and_states_its_interval(paper):
  module = importlib.import_module(f'paper_figures.{paper}')
  assert len({claim.name for claim in module.CLAIMS}) == len(module.CLAIMS)
  for claim in module.CLAIMS:
    assert claim.says[0].isupper()  # a sentence that can be read alone
    assert claim.holds.low <= claim.holds.high
    values = claim.samples(synthetic)
    assert values.ndim == 1
    if claim.of:  # else closed forms and draws of theory, which have no seeds of runs
      seeds = synthetic(claim.of[0], 'performance')['seed'].nunique()
      assert seeds // len(values) in (1, 2, 3, 4, 5, 10)  # one a seed, or one a group of some seeds
    assert claims.judge(claim, values, []).verdict in ('holds', 'fails', 'undecided', 'diverged')


def test_ledger_replaces_the_rows_of_a_paper_and_keeps_the_others(tmp_path):
  module = importlib.import_module('paper_figures.demo')
  first = [output.verdict(claim, synthetic, cells_of, available=False) for claim in module.CLAIMS]
  output.ledger('demo', module, first, tmp_path)
  output.ledger('other', module, [v for v in first if v.claim.name == '1a'], tmp_path)
  second = [output.verdict(claim, synthetic, cells_of, available=True) for claim in module.CLAIMS]
  path = output.ledger('demo', module, second, tmp_path)
  rows = pd.read_csv(path.with_suffix('.csv'), keep_default_na=False)
  assert list(rows['claim']).count('other/1a') == 1
  assert len(rows) == len(module.CLAIMS) + 1
  assert (rows[rows['claim'] == 'other/1a']['verdict'] == 'not run').all()
  assert not (rows[rows['claim'] != 'other/1a']['verdict'] == 'not run').any()
  assert math.isclose(path.read_text().count('| demo/'), len(module.CLAIMS))


def test_a_selection_without_rows_is_an_error():
  with pytest.raises(LookupError, match=r"no row has loss\.dtype = 'float8'"):
    series.select(pd.DataFrame({'loss.dtype': ['float16']}), loss__dtype='float8')


@pytest.mark.parametrize(('words', 'said'), [(['prieto2024'], 'prieto2025'), (['--lst'], '--lst'), (['--out'], '--out')])
def test_mistakes_are_one_sentence(words, said, capsys):
  assert command.main(words) == 2
  error = capsys.readouterr().err
  assert said in error
  assert error.count('\n') == 1


def test_list_says_what_is_there_and_what_it_costs(tmp_path, capsys):
  assert command.main(['--list', f'--out={tmp_path}']) == 0
  printed = capsys.readouterr().out
  assert '0 of 3 runs there; Run time:' in printed
  assert 'slow' in printed


def test_missing_runs_are_named_with_their_command_and_judged_not_run(tmp_path, capsys):
  assert command.main(['demo', '--draw_only', f'--out={tmp_path}', f'--to={tmp_path / "figures"}']) == 3
  printed = capsys.readouterr().out
  assert 'make it with: python -m experiments.run --config=configs/prieto2025_demo.py' in printed
  assert 'not run' in printed
