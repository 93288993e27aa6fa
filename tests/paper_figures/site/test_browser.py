"""The site in a real browser, from the disk: `apt-get install chromium`, and the extra `browser`."""

import json
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

from paper_figures import output

ROOT = pathlib.Path(__file__).parents[3]
CHROMIUM = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)
KINDS = ('index', 'ledger', 'papers/hoffer2017', 'reference/probes', 'api/linalg', 'docs/verdicts', 'code/dynamics/train.py')
LEDGER = 'ledger.html'

pytestmark = [
  pytest.mark.slow,
  pytest.mark.skipif(CHROMIUM is None, reason='no chromium is here: apt-get install chromium'),
]


@pytest.fixture(scope='module')
def site(tmp_path_factory):
  folder = tmp_path_factory.mktemp('site')
  words = ['-m', 'paper_figures', '--page', f'--to={folder}', f'--out={folder / "none"}']
  subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, check=True)
  return folder / 'page'


@pytest.fixture(scope='module')
def chromium():
  sync = pytest.importorskip('playwright.sync_api', reason="no playwright is here: pip install -e '.[browser]'")
  with sync.sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=['--no-sandbox'])
    yield browser
    browser.close()


@pytest.fixture
def visit(chromium, site):
  """(page of the site, choices of a context) -> the page; fails at the end for an error on any of them, or a request outside."""
  contexts, wrong = [], []

  def visit(name, **choices):
    contexts.append(chromium.new_context(**choices))
    page = contexts[-1].new_page()
    page.on('console', lambda message: message.type in ('error', 'warning') and wrong.append(f'{name}: {message.text}'))
    page.on('pageerror', lambda error: wrong.append(f'{name}: {error}'))
    page.on('request', lambda request: request.url.startswith(('file:', 'data:')) or wrong.append(f'{name}: {request.url}'))
    page.on('requestfailed', lambda request: wrong.append(f'{name}: {request.url} failed'))
    page.goto(f'{site.as_uri()}/{name}')
    return page

  yield visit
  for context in contexts:
    context.close()
  assert not wrong


def shown(page):
  """The claims in the order of the table."""
  return page.locator('#claims-table tbody tr:visible th').all_inner_texts()


def test_all_pages_load_without_an_error_and_fit_a_phone(visit, site):
  page = visit('index.html', viewport={'width': 390, 'height': 844})
  names = sorted(str(path.relative_to(site)) for path in site.rglob('*.html'))
  assert len(names) > 100
  for name in names:
    page.goto(f'{site.as_uri()}/{name}')
    assert page.evaluate('document.documentElement.scrollWidth') <= 390, name
    assert page.evaluate("[...document.images].every((image) => image.loading === 'lazy' || image.naturalWidth > 0)"), name


def test_the_ledger_filters_by_each_of_its_fields_and_says_how_many(visit):
  page = visit(LEDGER)
  every = page.locator('#claims-table tbody tr')
  total = every.count()
  assert len(shown(page)) == total
  for field in ('paper', 'verdict', 'kind', 'carries'):
    for value in page.locator(f'select[name={field}] option').evaluate_all('(options) => options.map((o) => o.value)')[1:]:
      page.select_option(f'select[name={field}]', value)
      expected = every.evaluate_all(f'(rows, value) => rows.filter((row) => row.dataset.{field} === value).length', value)
      assert len(shown(page)) == expected
      count = page.locator('#claims-count').inner_text()
      assert count.startswith(f'{expected} of {total} claims' if expected else 'No claim')
    page.get_by_role('button', name='Show all').click()
    assert len(shown(page)) == total
  page.fill('input[name=words]', 'edge stability')
  assert 0 < len(shown(page)) < total
  page.fill('input[name=words]', 'no such word anywhere')
  assert page.locator('#claims-count').inner_text().startswith('No claim')


def measured(text):
  """What sorts by number, claims without one last."""
  return (1, 0.0) if text == 'nothing' else (0, float(text.split()[0].rstrip(',')))


def test_the_ledger_sorts_up_and_down_by_number_and_by_word(visit):
  page = visit(LEDGER)
  column = lambda i: page.locator(f'#claims-table tbody tr > :nth-child({i})').all_inner_texts()
  for name, i, key in (('Measured', 6, measured), ('Kind', 3, str)):
    button = page.get_by_role('button', name=name, exact=True)
    button.click()
    values = [key(text.strip()) for text in column(i)]
    assert values == sorted(values)
    assert page.locator('th[aria-sort=ascending]').inner_text().startswith(name)
    button.click()
    assert [key(text.strip()) for text in column(i)] == sorted(values, reverse=True)
    assert page.locator('th[aria-sort=descending]').inner_text().startswith(name)


def test_a_view_of_the_ledger_is_in_its_address(visit, site):
  page = visit(LEDGER)
  page.select_option('select[name=verdict]', 'fails')
  page.get_by_role('button', name='Paper', exact=True).click()
  address, claims = page.url, shown(page)
  assert address.endswith('#verdict=fails&sort=paper')
  assert shown(visit(address.rpartition('/')[2])) == claims
  page.evaluate("location.hash = '#verdict=undecided'")
  page.wait_for_function("document.querySelector('select[name=verdict]').value === 'undecided'")
  assert set(shown(page)).isdisjoint(claims)
  assert len(shown(visit(f'{LEDGER}#verdict=nonsense&sort=nothing'))) == page.locator('#claims-table tbody tr').count()
  home = visit('index.html')
  home.locator('.counts a', has_text='fails').click()
  home.wait_for_url('**/ledger.html#verdict=fails')
  home.wait_for_function("document.querySelector('th[aria-sort]')")
  assert sorted(shown(home)) == sorted(claims)


def test_the_ledger_works_by_keyboard_alone(visit):
  page = visit(LEDGER)
  page.locator('select[name=verdict]').focus()
  page.keyboard.type('fails')
  fails = shown(page)
  assert 0 < len(fails) < page.locator('#claims-table tbody tr').count()
  for _ in range(5):  # kind, carries, words, show all, the table's frame or its first head
    page.keyboard.press('Tab')
  while page.evaluate('document.activeElement.tagName') != 'BUTTON' or 'Claim' not in page.evaluate(
    'document.activeElement.textContent'
  ):
    page.keyboard.press('Tab')
  page.keyboard.press('Enter')
  page.keyboard.press('Space')
  assert page.locator('th[aria-sort=descending]').inner_text().startswith('Claim')
  assert shown(page) == sorted(fails, reverse=True)
  outline = page.evaluate('getComputedStyle(document.activeElement).outlineWidth')
  assert outline == '3px'


def test_without_scripts_the_ledger_is_whole(visit):
  page = visit(LEDGER, java_script_enabled=False)
  assert page.locator('#claims-table tbody tr:visible').count() == page.locator('#claims-table tbody tr').count() > 100
  assert not page.locator('#claims-filters').is_visible()


@pytest.mark.parametrize('name', KINDS)
@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_words_stand_out_from_their_ground_by_day_and_night(name, scheme, visit):
  """Contrast of at least 4.5, as WCAG 2.2 AA asks of text."""
  page = visit(f'{name}.html', color_scheme=scheme)
  colours = page.evaluate("""() => {
    const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true })
    const rgba = (colour) => {
      canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1)
      return [...canvas.getImageData(0, 0, 1, 1).data]
    }
    const ground = (element) => {
      for (let at = element; at; at = at.parentElement) {
        const colour = rgba(getComputedStyle(at).backgroundColor)
        if (colour[3] === 255) return colour
      }
      return matchMedia('(prefers-color-scheme: dark)').matches ? [18, 18, 18, 255] : [255, 255, 255, 255]
    }
    const visible = (element) => element.checkVisibility() && element.getClientRects().length
    const seen = new Map()
    const walker = document.createTreeWalker(document.querySelector('article, main'), NodeFilter.SHOW_TEXT)
    while (walker.nextNode()) {
      const element = walker.currentNode.parentElement
      if (!walker.currentNode.textContent.trim() || !visible(element)) continue
      if (element.closest('svg, script, style, .headerlink')) continue
      const pair = [rgba(getComputedStyle(element).color), ground(element)]
      seen.set(JSON.stringify(pair), [pair, element.outerHTML.slice(0, 120)])
    }
    return [...seen.values()]
  }""")
  channel = lambda value: value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
  light = lambda rgb: sum(w * channel(v / 255) for w, v in zip((0.2126, 0.7152, 0.0722), rgb, strict=False))
  assert len(colours) >= 2
  for (ink, ground), where in colours:
    dark, bright = sorted((light(ink[:3]), light(ground[:3])))
    assert (bright + 0.05) / (dark + 0.05) >= 4.5, where
  background = light(colours[0][0][1])
  assert (background < 0.1) == (scheme == 'dark')


def test_a_command_is_copied_whole(visit):
  page = visit('papers/hoffer2017.html', permissions=['clipboard-read', 'clipboard-write'])
  block = page.locator('div.highlight', has_text='hoffer2017_walk.py').first
  block.get_by_role('button', name='Copy').click()
  block.get_by_role('button', name='Copied').wait_for()
  assert page.evaluate('navigator.clipboard.readText()') == 'python -m experiments.run --config=configs/hoffer2017_walk.py'


def test_the_search_finds_a_claim_a_component_and_a_function_without_a_server(visit):
  page = visit('search.html?q=random+potential')
  page.locator('#search-results a', has_text='Train longer').first.wait_for()
  page = visit('search.html?q=neural_collapse')
  page.locator('#search-results a').first.wait_for()
  page = visit('search.html?q=kernel_vector')
  page.locator('#search-results a', has_text='kernel_vector').first.click()
  page.wait_for_url('**/api/linalg.html*')


def test_a_claim_of_the_ledger_leads_to_its_line(visit):
  page = visit(LEDGER)
  page.get_by_role('link', name='hoffer2017/2a', exact=True).click()
  page.wait_for_url('**/papers/hoffer2017.html#claim-2a')
  badge = page.locator('#claim-2a')
  assert badge.inner_text().startswith('✗ fails')
  page.wait_for_function("Math.abs(document.querySelector('#claim-2a').getBoundingClientRect().y - 100) < 100")  # it scrolls
  line = page.get_by_role('img', name='Claimed between 0 and 1. measured: 9.783')
  assert line.bounding_box()['width'] > 300


def opened(figure):
  """The chart of a figure, after its button was pressed."""
  figure.locator('button.zoom').click()
  chart = figure.locator('.chart')
  chart.locator('svg').first.wait_for()
  return chart


def test_every_figure_of_curves_becomes_a_chart_and_a_picture_again(visit, site):
  page = visit('index.html')
  names = sorted((site / 'papers').glob('*.html'))
  charts = 0
  for path in names:
    page.goto(path.as_uri())
    for figure in page.locator('figure.plot[data-curves]').all():
      chart = opened(figure)
      panels = json.loads((output.ROOT / 'docs/gallery' / output.CURVES.format(figure.get_attribute('data-curves'))).read_text())
      assert chart.locator('g.mark-group.role-scope').count() >= len(panels)
      assert chart.locator('path[d*="L"], path[d*="A"]').count() >= len(panels)
      assert not figure.locator('img').is_visible()
      figure.get_by_role('button', name='Show the picture').click()
      assert figure.locator('img').is_visible()
      charts += 1
  assert charts > 50


def test_a_chart_is_zoomed_by_the_wheel_and_says_the_numbers_under_the_pointer(visit):
  page = visit('papers/cohen2021.html', viewport={'width': 1300, 'height': 1000})
  chart = opened(page.locator('figure.plot[data-curves]').first)
  chart.scroll_into_view_if_needed()
  ticks = lambda: chart.locator('g.role-axis-label text').all_inner_texts()
  before, box = ticks(), chart.locator('svg').bounding_box()
  page.mouse.move(box['x'] + 150, box['y'] + 120)
  page.mouse.wheel(0, -400)
  page.wait_for_timeout(300)
  assert ticks() != before
  page.mouse.dblclick(box['x'] + 150, box['y'] + 120)
  page.wait_for_timeout(300)
  assert ticks() == before
  point = chart.locator('g.mark-symbol.role-mark path').nth(150)
  point.hover(force=True)
  told = page.locator('#vg-tooltip-element')
  told.wait_for()
  assert 'step' in told.inner_text()
  assert any(sign.isdigit() for sign in told.inner_text())


def test_formulas_are_set_and_not_shown_as_their_source(visit):
  page = visit('lessons/4_edge_of_stability.html')
  source = (output.ROOT / 'docs/lessons/4_edge_of_stability.md').read_text()
  assert page.locator('math').count() == len(re.findall(r'\$[^$]+\$', source)) > 0
  words = page.locator('article').evaluate(
    "(page) => { page.querySelectorAll('pre, code').forEach((e) => e.remove()); return page.innerText }"
  )
  assert '$' not in words
  assert '\\eta' not in words
