"""Every figure draws from a synthetic table, every claim reads one, and what is written can be found again."""

import concurrent.futures
import importlib
import json
import math

import pandas as pd
import pytest

from analysis import claims, series
from dynamics import sealed
from dynamics.plan import identity
from dynamics.schema import ConfigError
from paper_figures import __main__ as command
from paper_figures import output, pages
from tests.paper_figures.synthetic import cells_of
from tests.paper_figures.synthetic import table as synthetic

PAPERS = command.names()


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
  """Intervals of random numbers: a bootstrap of 10,000 would be most of the time."""
  monkeypatch.setattr('analysis.statistics.RESAMPLES', 100)


def figures():
  """The first of every third paper, and in the slow tier all others; the claims of all papers are read in any case."""
  marks = lambda place, number: [pytest.mark.slow] if number or place % 3 else []
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
def test_every_claim_is_a_sentence_with_a_kind_and_an_interval_and_its_variants_are_other_runs_of_the_same_sweep(paper):
  module = importlib.import_module(f'paper_figures.{paper}')
  assert len({claim.name for claim in module.CLAIMS}) == len(module.CLAIMS)
  for claim in module.CLAIMS:
    assert claim.says[0].isupper()  # a sentence that can be read alone
    assert not claim.says.endswith('.')
    assert claim.kind in claims.KINDS
    assert claim.holds.low <= claim.holds.high
    assert claim.reason.startswith(('tested: ', 'untested: ')) or not claim.reason
    for config in claim.of:
      for word in claim.scope.values():
        try:
          cells, others = cells_of(config), cells_of(output.variant(config, word))
        except ConfigError as error:
          if not isinstance(error.__cause__, FileNotFoundError):  # data that not everybody has
            raise
          continue
        assert {identity(cell) for cell in others}.isdisjoint(identity(cell) for cell in cells)
        assert {path for cell in others for path in cell.swept} == {path for cell in cells for path in cell.swept}


def test_a_claim_is_against_one_that_there_is():
  modules = {paper: importlib.import_module(f'paper_figures.{paper}') for paper in PAPERS}
  every = {f'{paper}/{claim.name}': claim for paper, module in modules.items() for claim in module.CLAIMS}
  against = {name: claim.against.partition(': ') for name, claim in every.items() if claim.against}
  assert against
  for name, (other, _, why) in against.items():
    assert other in every
    assert other.partition('/')[0] != name.partition('/')[0]
    assert why


def laws_of(paper):
  """Claim -> (a law of tables on which it must hold, the opposite, on which it must fail).

  Of a claim without runs, a law gives the samples.
  """
  return importlib.import_module(f'tests.paper_figures.laws.{paper}').LAWS


@pytest.mark.parametrize('verdict', ['holds', 'fails'])
@pytest.mark.parametrize(
  ('paper', 'number'),
  [(paper, i) for paper in PAPERS for i in range(len(importlib.import_module(f'paper_figures.{paper}').CLAIMS))],
)
def test_every_claim_holds_on_the_papers_law_and_fails_on_the_opposite(paper, number, verdict):
  claim = importlib.import_module(f'paper_figures.{paper}').CLAIMS[number]
  law = laws_of(paper)[claim.name][verdict == 'fails']
  samples = claim.samples(lambda config, probe: law(config, probe, synthetic(config, probe))) if claim.of else law()
  judged = claims.judge(claim, samples)
  assert judged.verdict == verdict, f'{claim.name}: {claims.number(judged.estimate)}'


@pytest.mark.parametrize('paper', PAPERS)
def test_every_law_is_of_a_claim(paper):
  assert set(laws_of(paper)) == {claim.name for claim in importlib.import_module(f'paper_figures.{paper}').CLAIMS}


def not_run(name):
  """Rows of the demo's claims, under another name."""
  module = importlib.import_module('paper_figures.demo')
  return [claims.row(name, output.verdict(claim, synthetic, cells_of, lambda config: False)) for claim in module.CLAIMS]


def test_ledger_replaces_the_rows_of_a_paper_and_keeps_the_others(tmp_path):
  module = importlib.import_module('paper_figures.demo')
  output.ledger('demo', module, not_run('demo'), tmp_path, {})
  output.ledger('other', module, [row for row in not_run('other') if row['claim'] == 'other/1a'], tmp_path, {})
  verdicts = [output.verdict(claim, synthetic, cells_of, lambda config: True) for claim in module.CLAIMS]
  second = [claims.row('demo', verdict) for verdict in verdicts]
  path = output.ledger('demo', module, second, tmp_path, {})
  rows = pd.read_csv(path.with_suffix('.csv'), keep_default_na=False)
  assert list(rows['claim']).count('other/1a') == 1
  assert len(rows) == len(module.CLAIMS) + 1
  assert (rows[rows['claim'] == 'other/1a']['verdict'] == 'not run').all()
  assert not (rows[rows['claim'] != 'other/1a']['verdict'] == 'not run').any()
  assert math.isclose(path.read_text().count('| demo/'), len(module.CLAIMS))


def write_rows(folder, name):
  module = importlib.import_module('paper_figures.demo')
  rows = not_run(name)
  for _ in range(20):
    output.ledger(name, module, rows, folder, {})


def test_two_writers_lose_no_row_of_each_other(tmp_path):
  names = ['alpha', 'beta']
  with concurrent.futures.ThreadPoolExecutor() as writers:  # each opens its own lock, as processes do
    list(writers.map(write_rows, [tmp_path] * 2, names))
  rows = output.read_ledger(tmp_path)
  each = len(importlib.import_module('paper_figures.demo').CLAIMS)
  assert {name: sum(row['claim'].startswith(f'{name}/') for row in rows) for name in names} == dict.fromkeys(names, each)
  assert {path.name for path in tmp_path.iterdir()} == {'ledger.csv', 'ledger.json', 'ledger.md'}


@pytest.mark.parametrize('harm', ['row removed', 'edited', 'seal edited', 'cut'])
def test_a_ledger_that_was_changed_is_refused_and_not_written_over(harm, tmp_path):
  write_rows(tmp_path, 'alpha')
  file = tmp_path / ('ledger.json' if harm == 'seal edited' else 'ledger.csv')
  text = file.read_text()
  harmed = {'row removed': text[: text[:-1].rindex('\n') + 1], 'edited': text.replace('not run', 'holds'), 'cut': text[:-9]}
  file.write_text(harmed.get(harm, text.replace('"ledger.csv": [', '"ledger.csv": ["", ')))
  with pytest.raises(sealed.SealError, match='is not as it was written'):
    write_rows(tmp_path, 'beta')
  assert 'beta/' not in (tmp_path / 'ledger.csv').read_text()


def test_a_ledger_that_cannot_be_written_keeps_the_old_one(tmp_path, monkeypatch):
  write_rows(tmp_path, 'alpha')
  before = (tmp_path / 'ledger.csv').read_bytes()

  def full(self, text):
    self.touch()
    raise OSError(28, 'No space left on device')

  monkeypatch.setattr(output.pathlib.Path, 'write_text', full)
  with pytest.raises(OSError, match='No space left'):
    write_rows(tmp_path, 'beta')
  assert (tmp_path / 'ledger.csv').read_bytes() == before
  assert {path.name for path in tmp_path.iterdir()} == {'ledger.csv', 'ledger.json', 'ledger.md'}


def test_the_gallery_opens_with_a_line_a_paper(tmp_path):
  row = dict.fromkeys(output.COLUMNS, '') | {
    'paper': 'A Law (A, B 2020), arXiv 1.',
    'claim': 'law2020/1',
    'kind': 'paper',
    'verdict': 'holds',
  }
  rows = [
    row | {'carries': '1 of 2: width 3; not: tanh (fails)'},
    row | {'claim': 'law2020/2', 'verdict': 'fails', 'carries': '2 of 2: a, b'},
    row | {'claim': 'law2020/3', 'kind': 'control'},
  ]
  assert (
    '| [A Law](#a-law-a-b-2020-arxiv-1) | 2020 | 1 | 1 |  |  | 1 of 1 | 3 of 4 |'
    in pages.gallery([], rows, tmp_path).splitlines()
  )


def test_a_figure_is_drawn_again_only_where_what_it_is_made_of_changes(tmp_path):
  (spec,) = importlib.import_module('paper_figures.demo').FIGURES
  out, to = tmp_path / 'results', tmp_path / 'figures'
  folders = [out / identity(cell) for config in spec.configs for cell in cells_of(config)]
  for folder in folders:
    (folder / 'tables' / 'x').mkdir(parents=True)
    (folder / 'done.json').write_text('1')
    (folder / 'tables' / 'x' / 'done.json').write_text('1')
  made_of = output.inputs(spec.configs, cells_of, out)
  assert not output.up_to_date(spec, made_of, to)
  output.figure(spec, synthetic, cells_of, to, None, made_of)
  assert output.up_to_date(spec, output.inputs(spec.configs, cells_of, out), to)
  (folders[-1] / 'tables' / 'x' / 'done.json').write_text('2')
  assert not output.up_to_date(spec, output.inputs(spec.configs, cells_of, out), to)
  next(to.glob('*.csv')).unlink()
  assert not output.up_to_date(spec, made_of, to)


def test_claims_are_judged_again_only_where_what_they_are_made_of_changes(tmp_path, capsys):
  module, asked = importlib.import_module('paper_figures.demo'), []
  configs = [config for claim in module.CLAIMS for config in claim.of]

  def judged(available, made_of):
    return output.judged('demo', module, lambda *of: asked.append(of) or synthetic(*of), cells_of, available, tmp_path, made_of)

  rows = judged(configs, 'these tables')
  assert len(rows) == len(module.CLAIMS)
  asked.clear()
  assert judged(configs, 'these tables') == rows
  assert not asked
  assert {row['verdict'] for row in judged([], 'these tables')} == {'not run'}
  assert judged(configs, 'other tables') == rows
  assert asked
  (tmp_path / 'demo_verdicts.json').write_text('cut sho')
  assert judged(configs, 'other tables') == rows


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


def test_workers_are_given_all_missing_runs_at_once_but_the_slow_ones(tmp_path, monkeypatch, capsys):
  asked = []
  monkeypatch.setattr('experiments.sweep.main', lambda argv: asked.append(argv) or 0)
  words = ['--workers=3', f'--out={tmp_path / "runs"}', f'--to={tmp_path / "figures"}']
  assert command.main(['kumar2017', 'cohen2021', 'schoenholz2017', '--seeds=0,1', *words]) == 3
  (argv,) = asked
  configs = [word.partition('=')[2] for word in argv if word.startswith('--config=')]
  modules = [importlib.import_module(f'paper_figures.{paper}') for paper in ('kumar2017', 'schoenholz2017')]
  assert configs == list(dict.fromkeys(config for module in modules for config in command.wanted(module)))
  assert argv[len(configs) :] == ['--config.seeds=(0,1,)', '--launcher=process', '--workers=3', f'--out={tmp_path / "runs"}']
  assert 'cohen2021_descent.py: slow, not run without --slow; ' in capsys.readouterr().out
  assert command.main(['cohen2021', *words]) == 0
  assert command.main(['cohen2021', '--slow', '--draw_only', *words]) == 3
  monkeypatch.setattr('experiments.sweep.main', lambda argv: 130)
  assert command.main(['kumar2017', *words]) == 130
  assert command.main(['kumar2017', '--workers=0', *words[1:]]) == 2
  assert command.main(['kumar2017', '--draw_only', *words]) == 3
