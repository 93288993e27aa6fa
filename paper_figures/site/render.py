"""Records as pages, by the templates beside this file."""

import ast
import pathlib
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jinja2
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from paper_figures import pages
from paper_figures.site.documents import ROOT, escaped
from paper_figures.site.records import CARRIES, SIGNS, Paper, Record, counts

KINDS = {'paper': 'the paper says so', 'extension': 'ours, beside the paper', 'control': 'ours: where it should not hold'}
PLAIN = r'<span class="(?:n|o|p|w|nn|nf)">(.*?)</span>'  # names, operators and the like, which need no colour
COLUMNS = [(name.lower(), name) for name in ('Claim', 'Paper', 'Kind', 'Sentence', 'Verdict', 'Measured', 'Carries')]


class Figure(NamedTuple):
  """A figure on the page of its paper."""

  name: str
  caption: str
  configs: tuple[str, ...]
  file: str  # its name in the folder `figures` of the site; '' where there is none
  sentence: str
  zooms: bool  # whether its curves are there as numbers


class Config(NamedTuple):
  """A config on the page of its paper."""

  path: str
  about: str  # the first line of its docstring
  command: str
  rest: str
  page: str  # that shows its source


def config(path: str) -> Config:
  """A config file, by its docstring."""
  doc = ast.get_docstring(ast.parse((ROOT / path).read_text())) or path
  about, _, rest = doc.partition('\n')
  command = re.search(r'^Command: (.*)$', rest, re.MULTILINE)
  rest = re.sub(r'^Command: .*$', '', rest, flags=re.MULTILINE).strip()
  rest = re.sub(r'^(Run time|Expected): ', r'\n**\1.** ', escaped(rest), flags=re.MULTILINE)
  run = command[1] if command else f'python -m experiments.run --config={path}'
  return Config(path, about, run, rest, f'code:{path}')


def templates(records: Sequence[Record]) -> Callable[..., str]:
  """(name of a template, values by name) -> text. Texts that name a claim of these records link to it."""
  loader = jinja2.FileSystemLoader(pathlib.Path(__file__).with_name('templates'))
  env = jinja2.Environment(
    loader=loader,
    autoescape=jinja2.select_autoescape(['html']),
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=jinja2.StrictUndefined,
  )
  fill = lambda name, **values: env.get_template(name).render(values)
  places = {record.row['claim']: f'papers/{record.paper}.html#claim-{record.name}' for record in records}
  env.globals |= {'signs': SIGNS, 'verdicts': pages.VERDICTS, 'carries': CARRIES, 'kinds': KINDS}
  env.filters |= {
    'md': escaped,
    'claim': lambda record: fill('claim.html', record=record),
    'figure': lambda figure: fill('figure.html', figure=figure),
    'claims_in': lambda text: [{'text': part, 'page': places.get(part)} for part in re.split(r'(\w+/\w+)', text)],
  }
  return fill


def ledger(papers: Sequence[Paper], fill: Callable[..., str]) -> str:
  """The page of the ledger."""
  records = [record for paper in papers for record in paper.records]
  of = lambda column: sorted({record.row[column] for record in records})
  filters = (
    ('paper', 'Paper', [(paper.name, paper.title) for paper in papers if paper.records]),
    ('verdict', 'Verdict', [(word, word) for word in pages.VERDICTS if word in of('verdict')]),
    ('kind', 'Kind', [(word, word) for word in of('kind')]),
    ('carries', 'Carries', [(word, word) for word in CARRIES]),
  )
  titles = {paper.name: f'{paper.title} ({paper.year})' if paper.year else paper.title for paper in papers}
  return fill('ledger.md', table=fill('ledger.html', records=records, filters=filters, columns=COLUMNS, titles=titles))


def paper(paper: Paper, figures: Sequence[Figure], configs: Sequence[Config], findings: str, fill: Callable[..., str]) -> str:
  """The page of a paper. `findings` is the body of docs/<paper>.md, '' where there is none."""
  above = fill('counts.html', counts=counts(paper.records), root='../', query=f'paper={paper.name}&') if paper.records else ''
  return fill('paper.md', paper=paper, figures=figures, configs=configs, findings=findings, counts=above)


def code(path: str, fill: Callable[..., str]) -> str:
  """A page of a source file, in HTML: of such there are hundreds, each without the contents of the whole site beside it."""
  highlighted = highlight((ROOT / path).read_text(), PythonLexer(), HtmlFormatter(nowrap=True))
  highlighted = re.sub(PLAIN, r'\1', highlighted)  # a third of the size
  return fill('code.html', path=path, root='../' * path.count('/') + '../', code=f'<pre>{highlighted}</pre>')


def index(papers: Sequence[Paper], contents: Sequence[tuple[str, Sequence[str]]], fill: Callable[..., str]) -> str:
  """The first page. `contents` is the table of contents: (caption, pages)."""
  records = [record for paper in papers for record in paper.records]
  words = {paper.name: ', '.join(f'{number} {word}' for word, number in counts(paper.records).items()) for paper in papers}
  return fill(
    'index.md',
    total=len(records),
    number=sum(bool(paper.records) for paper in papers),
    counts=fill('counts.html', counts=counts(records), root='', query=''),
    papers=fill('index.html', papers=papers, words=words),
    contents=contents,
  )
