"""The site: its source, made from what is committed, and Sphinx, which turns it into pages that need no server and no network."""

import io
import json
import pathlib
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import vl_convert

from dynamics.schema import ConfigError
from paper_figures.site import api, charts, documents, examples, records, render, stored
from paper_figures.site.documents import ROOT

HERE = pathlib.Path(__file__).parent
FIRST = ('docs/start.md', 'docs/verdicts.md', 'docs/add_a_paper.md', 'docs/your_own.md')  # guides, before the others


class Built(NamedTuple):
  """A site."""

  index: pathlib.Path  # its first page
  pages: int
  bytes: int
  warnings: tuple[str, ...]  # what Sphinx found wrong, such as a link that leads nowhere


def build(
  papers: Mapping[str, Any], rows: Sequence[Mapping[str, str]], pictures: Mapping[str, stored.Picture], to: pathlib.Path
) -> Built:
  """Writes the site, in the place of an older one when all of it is made.

  Args:
    papers: name of the file -> module.
    rows: of the ledger.
    pictures: name of a figure -> what is shown of it.
    to: the folder of the site.

  Raises:
    ConfigError: a folder that holds something else.
  """
  if to.exists() and any(to.iterdir()) and not (to / 'objects.inv').is_file():
    raise ConfigError(f'{to} holds something else than a site; move it, or give another folder with --to.')
  to.parent.mkdir(parents=True, exist_ok=True)
  with tempfile.TemporaryDirectory(prefix='.page', dir=to.parent) as folder:
    source, made = pathlib.Path(folder, 'source'), pathlib.Path(folder, 'made')
    write_source(papers, rows, pictures, source)
    warnings = _sphinx(source, made, pathlib.Path(folder, 'doctrees'))
    shutil.rmtree(to, ignore_errors=True)
    made.rename(to)
  files = [path for path in to.rglob('*') if path.is_file()]
  pages = sum(path.suffix == '.html' for path in files)
  return Built(to / 'index.html', pages, sum(path.stat().st_size for path in files), warnings)


def write_source(
  papers: Mapping[str, Any], rows: Sequence[Mapping[str, str]], pictures: Mapping[str, stored.Picture], source: pathlib.Path
) -> None:
  """The site as markdown, with the folder of pictures."""
  figures = {spec.name: name for name, module in papers.items() for spec in module.FIGURES}
  known, code, drawn = documents.places(papers, figures), set(), {}
  shown = [records.paper(name, module, rows) for name, module in papers.items()]
  fill = render.templates([record for paper in shown for record in paper.records])
  text_of = lambda path, page: documents.relinked((ROOT / path).read_text(), path, page, known, code, drawn)
  pages = {
    page: text_of(path, page)
    for path, page in known.items()
    if path.endswith('.md') and not page.startswith(('papers', 'ledger'))
  }
  for paper in shown:
    module, findings, page = papers[paper.name], f'docs/{paper.name}.md', f'papers/{paper.name}.md'
    body = documents.body(text_of(findings, page)) if (ROOT / findings).is_file() else ''
    asked = [c for spec in module.FIGURES for c in spec.configs] + [c for claim in module.CLAIMS for c in claim.of]
    paths = dict.fromkeys(config.partition(':')[0] for config in asked)
    code |= set(paths)
    pages[page] = render.paper(
      paper, [_figure(spec, pictures) for spec in module.FIGURES], [*map(render.config, paths)], body, fill
    )
  pages |= api.pages(examples.calls(ROOT, known), code)
  pages['ledger.md'] = render.ledger(shown, fill)
  pages['index.md'] = render.index(shown, contents(pages), fill)
  for page, text in pages.items():
    documents.write(source, page, text)
  for path in sorted(code):
    documents.write(source / 'extra', f'code/{path}.html', render.code(path, fill))
  drawings = source / 'extra' / 'figures'
  drawings.mkdir(parents=True)
  for name, picture in pictures.items():
    if picture.file:
      (drawings / picture.file.name).write_bytes(stored.small(picture.file))
    if panels := _panels(picture):
      (drawings / f'{name}.js').write_text(charts.script(name, panels))
  # In a function, because it names things as the theme's own scripts do.
  vega = f'(() => {{{vl_convert.javascript_bundle()}\nwindow.vegaEmbed = vegaEmbed}})()'
  documents.write(source / 'extra', '_static/vega.js', vega)
  for name, path in drawn.items():  # of texts
    if not (drawings / name).is_file():
      shutil.copy(path, drawings)


def contents(pages: Mapping[str, str]) -> list[tuple[str, list[str]]]:
  """The table of contents: (caption, pages); a folder docs/lessons would be one of its parts."""
  of = lambda folder: sorted(page for page in pages if page.startswith(f'{folder}/'))
  guides = [*FIRST, *(page for page in of('docs') if page not in FIRST)]
  parts = [
    ('Verdicts', ['ledger.md']),
    ('Papers', of('papers')),
    ('Lessons', of('lessons')),
    ('Guides', guides),
    ('Reference', ['reference/README.md', *(page for page in of('reference') if page != 'reference/README.md')]),
    ('Python', of('api')),
  ]
  return [(caption, entries) for caption, entries in parts if entries]


def _figure(spec, pictures: Mapping[str, stored.Picture]) -> render.Figure:
  picture = pictures[spec.name]
  file = picture.file.name if picture.file else ''
  return render.Figure(spec.name, spec.caption, spec.configs, file, picture.sentence, bool(_panels(picture)))


def _panels(picture: stored.Picture) -> list:
  """Those of its panels that show curves."""
  return json.loads(picture.curves.read_text()) if picture.curves else []


def _sphinx(source: pathlib.Path, made: pathlib.Path, doctrees: pathlib.Path) -> tuple[str, ...]:
  """Runs Sphinx; gives its warnings."""
  from sphinx.application import Sphinx
  from sphinx.util.docutils import docutils_namespace

  said = io.StringIO()
  options = {
    'project': 'Training dynamics',
    'html_title': 'Training dynamics',
    'extensions': ['myst_parser', 'paper_figures.site.formulas'],
    'source_suffix': {'.md': 'markdown'},
    'myst_enable_extensions': ['dollarmath'],
    'html_math_renderer': 'mathml',
    'myst_heading_anchors': 4,
    'myst_url_schemes': {'http': None, 'https': None, 'code': '../code/{{path}}.html'},
    'html_theme': 'furo',
    'html_static_path': [str(HERE / 'static')],
    'html_extra_path': [str(source / 'extra')],
    'html_css_files': ['page.css'],
    'html_js_files': [('ledger.js', {'defer': 'defer'}), ('copy.js', {'defer': 'defer'}), ('charts.js', {'defer': 'defer'})],
    'html_copy_source': False,
    'html_show_search_summary': False,  # which would fetch pages: not from a disk
    'highlight_language': 'none',
    'python_use_unqualified_type_names': True,
    'python_maximum_signature_line_length': 80,
    'exclude_patterns': ['extra'],
    'templates_path': [],
  }
  with docutils_namespace():
    app = Sphinx(source, None, made, doctrees, 'html', options, status=None, warning=said, freshenv=True)
    app.build()
  return tuple(
    re.sub(r'\x1b\[[\d;]*m', '', line).replace(f'{source}/', '') for line in said.getvalue().splitlines() if line.strip()
  )
