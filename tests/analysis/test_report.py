"""The report: what it says of runs that are done, half done, missing, damaged or of other versions; its numbers against numpy."""

import base64
import html.parser
import io
import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest

from analysis.report import __main__ as command
from analysis.report import readings
from dynamics import frames
from dynamics.sealed import sealed

pytest.importorskip('altair', reason="the extra 'report' is not installed")

CONFIG = """
'''arXiv 1234.56789, figure 1: a tiny <sweep>.

Run time: a second.
'''
import ml_collections


def get_config():
  return ml_collections.ConfigDict(
    dict(
      data=dict(name='modular', p=5),
      model=dict(name='mlp', widths=(4,)),
      loss=dict(name='cross_entropy'),
      optimizer=dict(name='sgd'),
      hyper=dict(lr=0.01),
      steps=8,
      seeds=(0, 1),
      schedule=dict(log_points=0, stride=2),
      probes=dict(performance=dict(), weight_spectrum=dict()),
      sweep=(('hyper.lr', (0.01, 0.1)), ('data.p', (5, 7))),
    )
  )
"""


@pytest.fixture(scope='module')
def store(tmp_path_factory):
  """A folder with a config and its two runs."""
  from experiments import run

  folder = tmp_path_factory.mktemp('report')
  (folder / 'mine.py').write_text(CONFIG)
  assert run.main([f'--config={folder / "mine.py"}', f'--out={folder / "out"}']) == 0
  return folder


@pytest.fixture
def copy(store, tmp_path):
  shutil.copytree(store / 'out', tmp_path / 'out', ignore=shutil.ignore_patterns('.programs'))
  return tmp_path / 'out'


@pytest.fixture
def report(store, tmp_path, capsys):
  """out -> (the page, what the command says)."""

  def make(out, *words, status=0, to=tmp_path / 'page.html'):
    assert command.main([f'--config={store / "mine.py"}', f'--out={out}', f'--to={to}', *words]) == status
    said = capsys.readouterr()
    return (tmp_path / 'page.html').read_text() if not status else '', said.out + said.err

  return make


def body(page):
  """The text that a reader sees, without scripts."""
  return re.sub(r'<(script|style)>.*?</\1>', '', page, flags=re.DOTALL)


def specs(page):
  return json.loads(re.search(r'const specs = (.*);\n', page)[1])


def test_the_page_shows_runs_settings_and_readings_and_needs_no_network(store, report):
  page, said = report(store / 'out')
  assert '2 runs: 2 done; 8 members, none of which diverged.' in said
  assert '2 runs: 2 done' in body(page)
  for text in ('a tiny &lt;sweep&gt;', 'performance', 'weight_spectrum', 'lr 0.01 to 0.1 (2 values)', 'p 7', 'jaxlib', 'data.p'):
    assert text in body(page)
  assert f'python -m experiments.run --config={store / "mine.py"} --out={store / "out"}' in body(page)
  links = re.findall(r'(?:src|href)="([^"]*)"', body(page))
  assert links
  assert all(link.startswith(('#', 'data:')) for link in links)
  html.parser.HTMLParser().feed(page)


def test_curves_are_the_medians_and_ranges_of_the_tables(store, report):
  from analysis import tables
  from experiments import config

  page, _ = report(store / 'out')
  csv = re.search(r'download="performance.csv" href="data:text/csv;base64,([^"]*)"', page)[1]
  shown = pd.read_csv(io.BytesIO(base64.b64decode(csv)))
  table = tables.load(config.cells(str(store / 'mine.py')), 'performance', store / 'out', 'x')
  for (lr, p, step), rows in table.groupby(['lr', 'data.p', 'step']):
    (row,) = shown.query('setting == @name and step == @step and reading == "train_loss"', local_dict={
      'name': f'lr {lr:g}, p {p}', 'step': step}).itertuples()  # fmt: skip
    losses = rows['train_loss']
    np.testing.assert_allclose([row.median, row.low, row.high], [losses.median(), losses.min(), losses.max()], rtol=1e-6)
    assert (row.members, row.lost) == (2, 0)
  drawn = [rows for rows in specs(page)[0]['datasets'].values() if 'median' in rows[0]]
  losses = {(row['setting'], row['step']): row['median'] for rows in drawn for row in rows}
  assert {name for name, _ in losses} == {'lr 0.01, p 5', 'lr 0.01, p 7', 'lr 0.1, p 5', 'lr 0.1, p 7'}


def test_one_slider_moves_all_arrays(store, report):
  page, _ = report(store / 'out')
  moving = specs(page)[-1]
  (slider,) = [param for param in moving['params'] if param.get('name') == 'moment']
  assert (slider['bind']['max'], slider['value']) == (4, 4)  # five readings
  rows = [row for rows in moving['datasets'].values() for row in rows if 'first' in row]
  assert {row['step'] for row in rows} == {0, 2, 4, 6, 8}
  assert all(row['ends'] == row['first'] + 1 for row in rows)


@pytest.mark.slow
def test_a_browser_draws_every_chart_and_the_slider_moves_them(store, report, tmp_path):
  sync = pytest.importorskip('playwright.sync_api', reason="no playwright is here: pip install -e '.[browser]'")
  chromium = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)
  if chromium is None:
    pytest.skip('no chromium is here: apt-get install chromium')
  page, _ = report(store / 'out')
  wrong = []
  with sync.sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=chromium, args=['--no-sandbox'])
    tab = browser.new_page(viewport={'width': 390, 'height': 844})
    tab.on('console', lambda message: message.type == 'error' and wrong.append(message.text))
    tab.on('pageerror', lambda error: wrong.append(str(error)))
    tab.on('request', lambda request: request.url.startswith(('file:', 'data:')) or wrong.append(request.url))
    tab.goto((tmp_path / 'page.html').as_uri())
    tab.wait_for_selector('.chart svg')
    assert tab.locator('.chart svg.marks').count() == len([spec for spec in specs(page) if spec])
    assert tab.evaluate('document.documentElement.scrollWidth') <= 390
    slider = tab.locator('input[type=range]')
    for number, step in ((4, 8), (1, 2)):
      slider.fill(str(number))
      tab.wait_for_selector(f'text=step {step}')
    browser.close()
  assert not wrong


def test_what_is_missing_or_half_done_is_said_and_the_rest_is_shown(copy, report):
  one, other = sorted(path.parent for path in copy.glob('*/done.json'))
  shutil.rmtree(one)
  (other / 'done.json').unlink()
  page, said = report(copy)
  assert '2 runs: ' in said
  assert '1 not run' in said
  assert '1 stopped' in said
  assert 'not run' in body(page)
  assert '8 of 8' in body(page)
  shutil.rmtree(other)
  page, said = report(copy)
  assert '2 runs: 2 not run; 8 members, none of which diverged.' in said
  assert 'performance' not in body(page).partition('<h2 id="settings">')[0]


def test_damage_is_a_sentence_on_the_page(copy, report):
  one = sorted(copy.glob('*/done.json'))[0].parent
  part = sorted(one.glob('tables/performance-*/part-*'))[0]
  part.write_bytes(part.read_bytes()[:-1] + b'x')
  page, _ = report(copy)
  assert 'is missing or damaged' in body(page)
  assert one.name in body(page)


def test_runs_of_other_versions_are_told(copy, report):
  for path in copy.glob('*/run.json'):
    record = json.loads(path.read_text())
    record.pop('sha256')
    record['sessions'][0]['versions']['jax'] = '0.0.1'
    path.write_text(sealed(record))
  page, _ = report(copy)
  assert 'Made with jax 0.0.1, where another version is installed now: 2 of the runs.' in body(page)


def test_a_mistake_is_a_sentence(store, report):
  assert 'data.q is no field of data' in report(store / 'out', '--config.data.q=3', status=2)[1]
  assert '--wrong is no argument here' in report(store / 'out', '--wrong', status=2)[1]
  assert 'cannot be written' in report(store / 'out', status=2, to=store / 'mine.py' / 'x.html')[1]


def run_of(count, step=(0, 1, 2)):
  """A run of so many learning rates with a NaN, an array, and a plane too large."""
  members = frames.settings([0] * count, {'lr': np.geomspace(1, 2, count)})
  columns = {'step': np.repeat(step, count), 'member': np.tile(np.arange(count), len(step))}
  size = len(columns['step'])
  values = {'loss': np.where(columns['step'] == 1, np.nan, 1.0), **{f'top/{i}': np.full(size, float(i)) for i in range(3)}}
  arrays = frames.arrays({**columns, **values}, members, {'loss': (), 'top': (3,)})
  arrays['huge'] = (('member', 'step', 'a', 'b'), np.zeros((count, len(step), 50, 50)))
  return readings.Run('x', members, 2, 'done', 2, readings={'mine': arrays})


def test_nans_are_counted_and_large_arrays_and_many_settings_are_told():
  runs = [run_of(40)]
  drawn, count = readings.settings(runs)
  assert (len(drawn), count) == (readings.SETTINGS, 40)
  table = readings.curves(runs, 'mine')
  assert set(table['setting']) == set(drawn)
  assert table['lost'].sum() == readings.SETTINGS
  assert table[table['step'] == 1]['median'].isna().all()
  arrays, large = readings.moments(runs, 'mine')
  assert large == ['huge (50, 50)']
  assert set(arrays['row']) == {0, 1, 2}


def test_a_few_leaves_stand_for_many():
  names = ['norm', *(f'norm_of/hidden_{i}/kernel' for i in range(20))]
  chosen, left = readings.shown(names)
  assert chosen[0] == 'norm'
  assert chosen[1] == names[1]
  assert chosen[-1] == names[-1]
  assert (len(chosen), left) == (1 + readings.LEAVES, 20 - readings.LEAVES)
  assert readings.thinned(pd.DataFrame({'step': np.arange(1000)}), 10)['step'].iloc[[0, -1]].tolist() == [0, 999]
