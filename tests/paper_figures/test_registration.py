"""Every interval of the ledger stood in git before the runs that judged it, and before their verdict."""

import csv
import importlib
import io
import subprocess

import pytest

from analysis import claims
from paper_figures import __main__ as command
from paper_figures import output, pages, registration

LEDGER = {row['claim']: row for row in output.read_ledger(command.GALLERY)}
PAPERS = command.names()


def git(*words):
  done = subprocess.run(['git', '-C', str(registration.ROOT), *words], capture_output=True, text=True, check=False)
  if done.returncode:
    pytest.skip('needs a clone with its history')
  return done.stdout


@pytest.fixture(scope='module')
def verdict_since():
  """Claim -> the commit of its verdict, by the lines of the ledger: each holds one row."""
  if git('rev-parse', '--is-shallow-repository').strip() == 'true':
    pytest.skip('needs a clone with its history')
  since, commit = {}, ''
  for line in git('blame', '--porcelain', '--', 'docs/gallery/ledger.csv').splitlines():
    if line.startswith('\t'):
      cells = next(csv.reader(io.StringIO(line[1:])))
      since[cells[output.COLUMNS.index('claim')]] = commit
    elif len(line.split()[0]) == 40:
      commit = line.split()[0]
  return since


@pytest.mark.parametrize('paper', PAPERS)
def test_what_is_registered_is_what_is_judged(paper):
  stated = registration.rows(paper)
  for claim in importlib.import_module(f'paper_figures.{paper}').CLAIMS:
    assert stated[claim.name]['expected'] == claims.expected(claim)
    if f'{paper}/{claim.name}' in LEDGER:
      assert LEDGER[f'{paper}/{claim.name}']['expected'] == claims.expected(claim)


@pytest.mark.parametrize('paper', PAPERS)
def test_intervals_stood_in_git_before_their_runs_and_their_verdicts(paper, verdict_since):
  stated = registration.stated(paper)
  for key, row in LEDGER.items():
    name, _, claim = key.partition('/')
    if name != paper or row['verdict'] == claims.NOT_RUN:
      continue
    expected, commit = stated[claim]
    assert row['expected'] == expected
    assert row['stated'] == commit, f'{key}: the ledger names another commit; draw it again'
    if not pages.registered(row):
      continue  # and the ledger says so
    if row['runs']:
      assert registration.precedes(commit, row['judged']), f'{key}: stated in {commit}, and run in {row["judged"]}'
    if verdict_since[key][: registration.DIGITS] != '0' * registration.DIGITS:  # of a row that is not committed
      assert registration.precedes(commit, verdict_since[key]), f'{key}: its verdict is no younger than its interval'


def test_a_changed_interval_is_stated_anew_and_an_old_commit_goes_with_what_it_stated(tmp_path, monkeypatch):
  monkeypatch.setattr(registration, 'FOLDER', tmp_path)
  paper = importlib.import_module('paper_figures.power2022')
  assert registration.register('power2022', paper) == [claim.name for claim in paper.CLAIMS]
  file = tmp_path / 'power2022.csv'
  file.write_text(file.read_text().replace(',\n', ',0123456789ab\n'))
  assert registration.register('power2022', paper) == []
  assert {row['since'] for row in registration.rows('power2022').values()} == {'0123456789ab'}
  first, *_ = paper.CLAIMS
  moved = type('paper', (), {'CLAIMS': [first._replace(holds=claims.at_least(0.123))]})
  assert registration.register('power2022', moved) == [first.name]
  (row,) = registration.rows('power2022').values()
  assert row['since'] == ''
  assert row['expected'].endswith('at least 0.123')


@pytest.mark.parametrize(
  ('stated', 'judged', 'said'), [('a' * 12, 'b' * 12, False), ('a' * 12, 'a' * 12, True), ('', 'b' * 12, True)]
)
def test_a_claim_that_was_not_registered_says_so(stated, judged, said):
  row = dict.fromkeys(output.COLUMNS, 'x') | {'paper': 'Title (Author 2020), arXiv 1', 'stated': stated, 'judged': judged}
  assert ('not registered before' in '\n'.join(pages.ledger([row]))) == said
