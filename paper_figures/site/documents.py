"""The texts of the repository as pages of the site, and where the links of one lead on the other."""

import os
import pathlib
import posixpath
import re
from collections.abc import Iterable, Mapping

ROOT = pathlib.Path(__file__).parents[2]
LINK = re.compile(r'(!?)\[([^\]]*)\]\((?!https?:)([^)#\s]*)(#[^)\s]*)?\)')
FENCE = re.compile(r'(^```.*?^```$)', re.DOTALL | re.MULTILINE)
GUIDES = {'README.md': 'docs/start.md', 'benchmarks/README.md': 'docs/benchmarks.md'}  # texts that lie elsewhere


def places(papers: Iterable[str], figures: Mapping[str, str]) -> dict[str, str]:
  """Path in the repository -> path of the page in the site that shows it.

  Args:
    papers: names of their files; docs/<paper>.md is a part of the paper's page.
    figures: name of a figure -> its paper.
  """
  papers = set(papers)
  texts = [path.relative_to(ROOT) for path in sorted((ROOT / 'docs').glob('*.md'))]
  guides = {str(path): f'papers/{path.name}' if path.stem in papers else str(path) for path in texts}
  lessons = {str(path.relative_to(ROOT)): f'lessons/{path.name}' for path in sorted((ROOT / 'docs/lessons').glob('*.md'))}
  reference = {str(path.relative_to(ROOT)): f'reference/{path.name}' for path in sorted((ROOT / 'docs/reference').glob('*.md'))}
  gallery = dict.fromkeys(
    ('docs/gallery', 'docs/gallery/README.md', 'docs/gallery/ledger.md', 'docs/gallery/ledger.csv'), 'ledger.md'
  )
  drawn = {f'docs/gallery/{name}.png': f'papers/{paper}.md' for name, paper in figures.items()}
  return {**guides, **GUIDES, **lessons, **reference, **gallery, **drawn, 'docs/reference': 'reference/README.md'}


def relinked(text: str, source: str, page: str, known: Mapping[str, str], code: set[str], drawn: dict[str, pathlib.Path]) -> str:
  """A text of the repository whose links lead to pages of the site.

  Args:
    text: markdown.
    source: its path in the repository.
    page: its path in the site.
    known: from `places`.
    code: to which the source files are added that it links to, as 'code:path', see `build`.
    drawn: to which its pictures are added, by the name under which the site has them.
  """
  here = posixpath.dirname(page)

  def link(match: re.Match) -> str:
    picture, words, target, anchor = match[1], match[2], match[3], match[4] or ''
    path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target)) if target else source
    if not (ROOT / path).exists():
      return match[0]  # no link, but code that looks like one
    if picture:
      drawn[posixpath.basename(path)] = ROOT / path
      return f'![{words}]({posixpath.relpath(f"extra/figures/{posixpath.basename(path)}", here)})'
    if path in known:
      return f'[{words}]({posixpath.relpath(known[path], here)}{anchor if path not in GALLERY else ""})'
    if path.endswith('.py'):
      code.add(path)
      return f'[{words}](code:{path})'
    return words

  pieces = FENCE.split(text)
  return ''.join(piece if i % 2 else LINK.sub(link, piece) for i, piece in enumerate(pieces))


GALLERY = ('docs/gallery', 'docs/gallery/README.md')  # whose headings the ledger does not have


def body(text: str) -> str:
  """A text without its title, its other headings one level lower: a part of another page."""
  pieces = FENCE.split(re.sub(r'\A# .*\n', '', text))
  return ''.join(piece if i % 2 else re.sub(r'^#', '##', piece, flags=re.MULTILINE) for i, piece in enumerate(pieces)).strip()


def write(folder: pathlib.Path, page: str, text: str) -> None:
  """A page of the site's source."""
  path = folder / page
  os.makedirs(path.parent, exist_ok=True)
  path.write_text(text)


def escaped(text: str) -> str:
  """Text whose signs markdown would take for its own, code in backticks left alone."""
  pieces = text.split('`')
  return '`'.join(piece if i % 2 else re.sub(r'([*<\[\]])', r'\\\1', piece) for i, piece in enumerate(pieces))
