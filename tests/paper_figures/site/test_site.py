"""The site that the command builds: whole, small, without the network, and without a link that leads nowhere."""

import collections
import html
import pathlib
import posixpath
import re
import subprocess
import sys

import numpy as np
import pytest

from experiments import resolve
from paper_figures import __main__ as command
from paper_figures import output
from paper_figures.site import api, documents, examples

ROOT = pathlib.Path(__file__).parents[3]
LEDGER = output.read_ledger(command.GALLERY)
PAPERS = [name for name in command.names() if name != 'demo']


@pytest.fixture(scope='module')
def site(tmp_path_factory):
  """(page -> HTML, folder, what the command printed); built once, without stored runs."""
  folder = tmp_path_factory.mktemp('site')
  words = ['-m', 'paper_figures', '--page', f'--to={folder}', f'--out={folder / "none"}']
  done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False)
  assert done.returncode == 0, done.stderr
  folder /= 'page'
  pages = {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob('*.html'))}
  return pages, folder, done


def test_it_is_built_without_a_warning_and_is_small(site):
  pages, folder, done = site
  assert done.stderr == ''
  assert done.stdout.splitlines()[-1] == f'page: {folder / "index.html"}'
  assert sum(path.stat().st_size for path in folder.rglob('*') if path.is_file()) < 20e6
  assert [name for name in pages if name.startswith('papers/')] == sorted(f'papers/{paper}.html' for paper in PAPERS)
  assert not (folder.parent / '.page').exists()


def test_no_link_is_dead(site):
  pages, folder, _ = site
  ids = {name: set(re.findall(r'\bid="([^"]+)"', text)) for name, text in pages.items()}
  dead = []
  for name, text in pages.items():
    for target in set(re.findall(r'\b(?:href|src)="([^"]+)"', text)):
      path, _, anchor = html.unescape(target).partition('#')
      if path.startswith(('http://', 'https://', 'mailto:', 'data:')):
        continue
      where = posixpath.normpath(posixpath.join(posixpath.dirname(name), path.partition('?')[0])) if path else name
      known = (folder / where).is_file()
      state = where == 'ledger.html' and '=' in anchor  # a view of the ledger is no place in it
      if not known or (anchor and not state and where in ids and anchor not in ids[where]):
        dead.append(f'{name} -> {target}')
  assert not dead


def test_nothing_comes_from_the_network(site):
  pages, folder, _ = site
  for name, text in pages.items():
    loaded = re.findall(r'<(?:script|img|iframe|source|video|object|embed|link)\b[^>]*', text)
    assert not [tag for tag in loaded if re.search(r'\b(?:src|href|data|srcset)="(?:https?:)?//', tag)], name
  for style in folder.rglob('*.css'):
    assert not re.search(r'url\(\s*["\']?(?:https?:)?//|@import', style.read_text()), style.name


def test_every_page_has_a_title_a_language_and_every_picture_a_text(site):
  for name, text in site[0].items():
    assert re.search(r'<title>[^<]+</title>', text), name
    assert re.search(r'<html[^>]* lang="en"', text), name
    assert 'name="viewport"' in text, name
    assert all(re.search(r'alt="[^"]{3,}"', tag) for tag in re.findall(r'<img\b[^>]*>', text)), name
    assert all('aria-label="Claimed ' in tag for tag in re.findall(r'<svg class="interval"[^>]*>', text)), name
    ids = re.findall(r'\bid="([^"]+)"', text.partition('<article')[2])
    assert len(ids) == len(set(ids)), name


def test_every_verdict_is_in_the_ledger_and_on_its_paper_with_its_number_and_its_line(site):
  pages = site[0]
  rows = re.findall(r'<tr role="row" data-paper="(\w+)" data-verdict="([^"]+)" data-kind="(\w+)"', pages['ledger.html'])
  judged = [(row['claim'].partition('/')[0], row['verdict'], row['kind']) for row in LEDGER]
  more = collections.Counter(rows)
  more.subtract(judged)
  assert min(more.values()) >= 0
  assert {verdict for (_, verdict, _), number in more.items() if number} <= {'not run'}  # stated, and not judged yet
  for row in LEDGER:
    paper, _, name = row['claim'].partition('/')
    shown = pages[f'papers/{paper}.html'].split(f'id="claim-{name}"')[1].partition('</dl>')[0]
    assert '<svg class="interval"' in shown
    words = ' '.join(html.unescape(re.sub('<[^>]*>', '', shown)).split())
    for column in ('verdict', 'expected', 'measured', 'reason', 'changed', 'carries'):
      assert ' '.join(row[column].split()) in words


def test_every_figure_is_shown_and_the_page_says_that_it_is_the_committed_one(site):
  pages, folder, _ = site
  for picture in command.GALLERY.glob('*.png'):
    assert (folder / 'figures' / picture.name).is_file()
  for paper in PAPERS:
    text = pages[f'papers/{paper}.html']
    why = 'there is no folder none with stored runs.'
    said = text.count(f'The committed picture: {why}') + text.count(f'No picture is committed, and {why}')
    assert text.count('<figure class="plot"') == said
    assert text.count('<img src="../figures/') == text.count('The committed picture: ')


def test_every_config_has_its_command_and_every_component_its_reference(site):
  pages = site[0]
  for config in sorted((ROOT / 'configs').glob('[!_]*.py')):
    paper = next((paper for paper in PAPERS if config.name in pages[f'papers/{paper}.html']), None)
    assert paper or config.stem == 'prieto2025_demo', config.name
    assert not paper or f'--config=configs/{config.name}' in html.unescape(re.sub('<[^>]*>', '', pages[f'papers/{paper}.html']))
    assert not paper or f'code/configs/{config.name}.html' in pages
  for makers in resolve.families().values():
    for name, maker in makers.items():
      assert re.search(rf'<h2>{name}<a', pages[f'reference/{maker.__module__.split(".")[1]}.html'])


def test_the_api_has_every_public_function_of_its_modules_and_examples_that_are_code_of_this_repository(site):
  pages, entries = site[0], 0
  for group, (_, _, patterns) in api.GROUPS.items():
    shown = set(re.findall(r'<dt class="sig sig-object py" id="([\w.]+)"', pages[f'api/{group}.html']))
    for file, only in (path for pattern in patterns for path in api._paths(pattern)):
      public = {f'{entry.module}.{entry.name}' for entry in api.read(file)[0] if only in ('', entry.name)}
      entries += len(public)
      assert public <= shown
    assert 'Example, from' in pages[f'api/{group}.html']
  assert entries > 200
  found = examples.calls(ROOT, documents.places(PAPERS, {}))
  for those in found.values():
    for example in those:
      text = (ROOT / example.title).read_text()
      assert all(line in text for line in example.code.split('\n\n', 1)[1].splitlines())
  assert {'dynamics.linalg.ntk.ntk', 'dynamics.train.run', 'experiments.load', 'analysis.fits.power_law'} <= set(found)


def test_a_folder_with_something_else_is_left_alone(tmp_path, capsys):
  (tmp_path / 'page').mkdir()
  (tmp_path / 'page' / 'thesis.tex').write_text('years')
  assert command.main(['--page', f'--to={tmp_path}', f'--out={tmp_path / "none"}']) == 2
  assert 'holds something else than a site' in capsys.readouterr().err
  assert (tmp_path / 'page' / 'thesis.tex').read_text() == 'years'


STYLE = (ROOT / 'paper_figures/site/static/page.css').read_text()
COLOURS = dict(re.findall(r'--(holds|fails|undecided|diverged|not-run): #(\w{6});', STYLE))
SEEN = {  # Machado, Oliveira, Fernandes 2009: linear RGB as those without one kind of cone see it
  'all': np.eye(3),
  'protan': [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
  'deutan': [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
  'tritan': [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def linear(colour):
  channels = np.array([int(colour[i : i + 2], 16) / 255 for i in (0, 2, 4)])
  return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def lab(rgb):
  xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ np.clip(rgb, 0, 1)
  f = np.cbrt(xyz / np.array([0.9505, 1.0, 1.089]))
  return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize('eye', SEEN)
def test_verdicts_have_colours_that_everyone_can_tell_apart_and_read_on(eye):
  assert len(COLOURS) == 5
  seen = {word: np.asarray(SEEN[eye]) @ linear(colour) for word, colour in COLOURS.items()}
  apart = {(a, b): np.linalg.norm(lab(seen[a]) - lab(seen[b])) for a in seen for b in seen if a < b}
  assert min(apart.values()) > 12, min(apart, key=apart.get)  # 2.3 is just noticeable
  for rgb in map(linear, COLOURS.values()):
    assert (np.array([0.2126, 0.7152, 0.0722]) @ rgb + 0.05) / 0.05 > 4.5  # black words on it
