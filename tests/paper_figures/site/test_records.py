"""What is missing, old or half done is said on the page, and nothing is blank."""

import importlib
import json
import types

import pytest

from analysis import claims, tables
from dynamics import sealed
from dynamics.plan import identity
from dynamics.schema import ConfigError
from paper_figures import __main__ as command
from paper_figures import output
from paper_figures.site import build, documents, installed, records, render, stored
from tests.paper_figures.synthetic import cells_of
from tests.paper_figures.synthetic import table as synthetic

ROW = dict.fromkeys(output.COLUMNS, '') | {
  'paper': 'A Law (A, B 2020), arXiv 2001.00001.',
  'claim': 'law/1',
  'kind': 'paper',
  'sentence': 'It falls',
  'expected': 'slope: at most 0',
  'measured': '-1 [-2, -0.5], n = 5',
  'verdict': 'holds',
  'stated': 'a',
  'judged': 'b',
}


def claim(name='1', says='It falls', **others):
  fields = dict(
    name=name, says=says, where='', kind='paper', of=(), holds=claims.at_most(0), unit='slope', reason='', changed='', against=''
  )
  return types.SimpleNamespace(**fields | others)


def shown(claims_of, rows):
  module = types.SimpleNamespace(__doc__='A Law (A, B 2020), arXiv 2001.00001.', CLAIMS=claims_of, FIGURES=[])
  return records.paper('law', module, rows)


def page(paper):
  return render.paper(paper, [], [], '', render.templates(paper.records))


def test_a_paper_has_its_title_authors_year_and_address():
  paper = shown([claim()], [ROW])
  assert paper[:5] == ('law', 'A Law', 'A, B', '2020', ('2001.00001',))
  assert 'https://arxiv.org/abs/2001.00001' in page(paper)


def test_a_claim_as_it_was_judged_has_no_note_and_a_drawing():
  (record,) = shown([claim()], [ROW]).records
  assert (record.notes, record.carries, record.unit) == ((), 'not tried elsewhere', 'slope')
  assert '<svg' in page(shown([claim()], [ROW]))


@pytest.mark.parametrize(
  ('claims_of', 'rows', 'said', 'drawn'),
  [
    ([claim()], [], 'The ledger has no verdict of this claim yet.', False),
    ([claim()], [ROW | {'verdict': 'not run', 'measured': ''}], 'Its runs have not been made', False),
    ([claim()], [ROW | {'verdict': 'diverged', 'measured': 'NaN, n = 5'}], 'Its number is NaN', False),
    ([], [ROW], 'The code has no such claim any more', True),
    ([claim(holds=claims.at_most(-3))], [ROW], 'stated anew since it was judged, as slope: at most -3', True),
    ([claim(says='It rises')], [ROW], 'other words since it was judged: It rises', True),
    ([claim()], [ROW | {'stated': 'b'}], 'was not registered before its runs', True),
    ([claim()], [ROW | {'measured': 'about 3'}], 'cannot be drawn: the ledger says &#39;about 3&#39;', False),
  ],
)
def test_what_the_reader_must_know_is_said(claims_of, rows, said, drawn):
  text = page(shown(claims_of, rows))
  assert said in text
  assert ('<svg' in text) == drawn


def test_a_claim_may_name_one_that_contradicts_it():
  text = page(shown([claim(against='law/2'), claim('2')], [ROW, ROW | {'claim': 'law/2'}]))
  assert '<dt>Against</dt><dd><a href="../papers/law.html#claim-2">law/2</a></dd>' in text


def test_a_paper_without_claims_and_figures_says_so():
  text = page(shown([], []))
  assert 'It states no claim.' in text
  assert 'It has no figure.' in text


@pytest.fixture
def demo():
  (spec,) = importlib.import_module('paper_figures.demo').FIGURES
  return spec, [cell for config in spec.configs for cell in cells_of(config)]


def begin(cell, out, **changes):
  """The record of a run that was begun."""
  folder = out / changes.pop('name', identity(cell))
  folder.mkdir(parents=True)
  record = {
    'config': cell.config,
    'seeds': cell.seeds,
    'hyper': cell.hyper,
    'sessions': [{'versions': {'jax': '0.1'}}],
    **changes,
  }
  (folder / 'run.json').write_text(sealed.sealed(json.loads(json.dumps(record))))
  return folder


def finish(cell, out):
  folder = begin(cell, out)
  for probe in cell.probes:
    place = folder / 'tables' / tables.table_identity(cell, probe)
    place.mkdir(parents=True)
    (place / 'done.json').write_text(sealed.sealed({'parts': {}}))
  (folder / 'done.json').write_text(sealed.sealed({'seconds': {}}))
  return folder


@pytest.mark.parametrize('where', ['not there', 'half done', 'made by another version of the code', 'damaged'])
def test_runs_that_are_not_as_they_should_be_are_named_and_the_committed_picture_is_shown(where, demo, tmp_path):
  spec, cells = demo
  out, gallery = tmp_path / 'results', tmp_path / 'gallery'
  out.mkdir()
  gallery.mkdir()
  (gallery / f'{spec.name}.png').write_bytes(b'committed')
  if where == 'half done':
    begin(cells[0], out)
  elif where == 'damaged':
    (finish(cells[0], out) / 'done.json').write_text('cut sho')
  elif where != 'not there':
    begin(cells[0], out, name='0' * 16)
  assert stored.state(cells[0], out, stored.made_as(out)) == where
  picture = stored.picture(spec, 'demo', cells_of, out, tmp_path, gallery, stored.made_as(out))
  assert picture.file == gallery / f'{spec.name}.png'
  assert f'is {where}' in picture.sentence or f'are {where}' in picture.sentence
  (gallery / f'{spec.name}.png').unlink()
  picture = stored.picture(spec, 'demo', cells_of, out, tmp_path, gallery, stored.made_as(out))
  assert picture.file is None
  assert picture.sentence.endswith('Draw it with: python -m paper_figures demo')


def test_runs_that_are_there_are_drawn_as_svg_with_the_version_that_made_them(demo, tmp_path, monkeypatch):
  spec, cells = demo
  for cell in cells:
    finish(cell, tmp_path / 'results')
  show = lambda: stored.picture(spec, 'demo', cells_of, tmp_path / 'results', tmp_path / 'figures', tmp_path, set())
  assert 'cannot be drawn' in show().sentence  # tables without parts
  monkeypatch.setattr(stored.tables, 'load', lambda cells, probe, out, make: synthetic(spec.configs[0], probe))
  picture = show()
  assert picture.file.read_text().startswith('<?xml')
  assert picture.sentence.startswith(f'Drawn from {len(cells)} stored run')
  assert 'made with jax 0.1, where' in picture.sentence
  monkeypatch.setattr(stored, 'LARGEST', 100)
  assert show().file.suffix == '.png'
  assert 'this is a PNG' in show().sentence


def test_what_is_not_installed_is_named_with_the_command(monkeypatch, capsys):
  monkeypatch.setattr(installed, 'NEEDS', ('nothing_like_it',))
  with pytest.raises(ConfigError, match=r"--page needs nothing_like_it, not installed here: .* '\.\[page\]'"):
    installed.check()
  assert command.main(['--page']) == 2
  assert capsys.readouterr().err.startswith('error: --page needs nothing_like_it')


def test_the_page_is_of_all_papers(capsys):
  assert command.main(['hoffer2017', '--page']) == 2
  assert '--page shows all papers' in capsys.readouterr().err


def test_lessons_and_new_texts_have_a_place_when_they_come():
  pages = dict.fromkeys(
    ('docs/start.md', 'lessons/scale.md', 'papers/law.md', 'reference/README.md', 'api/linalg.md', 'ledger.md'), ''
  )
  parts = dict(build.contents(pages))
  assert list(parts) == ['Verdicts', 'Papers', 'Lessons', 'Guides', 'Reference', 'Python']
  assert parts['Lessons'] == ['lessons/scale.md']
  assert 'Lessons' not in dict(build.contents({'papers/law.md': ''}))


def test_links_of_a_text_lead_to_pages_of_the_site_and_code_stays_code():
  known, code = documents.places(['hoffer2017'], {'init_atlas': 'init_atlas'}), set()
  text = '[a](hoffer2017.md#b) [c](gallery/README.md#d) [e](../dynamics/train.py) [f](gallery/init_atlas.png) [g](https://x.org/y.md)\n'
  text += '![h](gallery/init_atlas.png) table[i](x) [j](../dynamics)\n```\n[k](hoffer2017.md)\n```\n'
  linked = documents.relinked(text, 'docs/verdicts.md', 'docs/verdicts.md', known, code, {})
  assert linked.splitlines() == [
    '[a](../papers/hoffer2017.md#b) [c](../ledger.md) [e](code:dynamics/train.py) [f](../papers/init_atlas.md) [g](https://x.org/y.md)',
    '![h](../extra/figures/init_atlas.png) table[i](x) j',
    '```',
    '[k](hoffer2017.md)',
    '```',
  ]
  assert code == {'dynamics/train.py'}
