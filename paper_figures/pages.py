"""The ledger and the gallery as markdown, from the rows of the ledger."""

import pathlib
import re
from collections.abc import Sequence

VERDICTS = ('holds', 'fails', 'undecided', 'diverged', 'not run')
HEAD = [
  'Made by `python -m paper_figures --gallery`. What a verdict means, and how often its interval holds the truth, is in',
  '[verdicts.md](../verdicts.md). A claim of kind *paper* is one that the paper makes; *extension* and *control* are ours.',
  '*Carries* counts the other settings in which the same sentence was judged with the same interval, and holds.',
  '',
]


def summary(rows: Sequence[dict]) -> list[str]:
  """A table with a line a paper: its own claims by verdict, ours, and how many of the settings it was tried in it carries to."""
  lines = [
    '| paper | year | its claims hold | fail | undecided | not run | ours hold | carries |',
    '|---|---|---|---|---|---|---|---|',
  ]
  for title in titles(rows):
    of = [row for row in rows if row['paper'] == title]
    theirs = [row['verdict'] for row in of if row['kind'] == 'paper']
    ours = [row['verdict'] for row in of if row['kind'] != 'paper']
    count = lambda verdict, theirs=theirs: theirs.count(verdict) or ''
    undecided = theirs.count('undecided') + theirs.count('diverged') or ''
    held, tried = (sum(n) for n in zip((0, 0), *(_carried(row['carries']) for row in of), strict=True))
    ours_hold = f'{ours.count("holds")} of {len(ours)}' if ours else ''
    counts = f'{count("holds")} | {count("fails")} | {undecided} | {count("not run")} | {ours_hold}'
    lines.append(f'| [{short(title)}](#{anchor(title)}) | {year(title)} | {counts} | {f"{held} of {tried}" if tried else ""} |')
  return [*lines, '']


def ledger(rows: Sequence[dict]) -> list[str]:
  """A section a paper with its claims."""
  return [line for title in titles(rows) for line in (f'## {title}', '', *_claims(title, rows))]


def gallery(papers: Sequence, rows: Sequence[dict], folder: pathlib.Path) -> str:
  """The page: summary, then each paper's figures that are there and its claims."""
  lines = ['# Gallery', '', *HEAD, *summary(rows)]
  for paper in papers:
    title = ' '.join(paper.__doc__.splitlines()[0].split())
    shown = [spec for spec in paper.FIGURES if (folder / f'{spec.name}.png').is_file()]
    if not shown:
      continue
    lines += [f'## {title}', '']
    for spec in shown:
      lines += [f'![{spec.name}]({spec.name}.png)', '', f'{spec.caption} From {", ".join(f"`{c}`" for c in spec.configs)}.', '']
    lines += _claims(title, rows)
  return '\n'.join(lines)


def titles(rows: Sequence[dict]) -> list[str]:
  """The papers of a ledger, in its order."""
  return list(dict.fromkeys(row['paper'] for row in rows))


def short(title: str) -> str:
  """'Grokking at the Edge of Numerical Stability', without authors, year and address."""
  return re.split(r' \([A-Z][^()]*\d{4}\)', title)[0]


def year(title: str) -> str:
  """That of '(Authors 2025), arXiv ...'."""
  match = re.search(r'(\d{4})\), arXiv', title)
  return match[1] if match else ''


def anchor(title: str) -> str:
  """The name under which a reader of markdown links to its heading."""
  return re.sub(r'[^\w\- ]', '', title.lower()).replace(' ', '-')


def _carried(text: str) -> tuple[int, int]:
  """(2, 3) of '2 of 3: ...'."""
  match = re.match(r'(\d+) of (\d+)', text)
  return (int(match[1]), int(match[2])) if match else (0, 0)


def _claims(title: str, rows: Sequence[dict]) -> list[str]:
  lines = ['| claim | kind | sentence | expected | measured | verdict | carries |', '|---|---|---|---|---|---|---|']
  for row in rows:
    if row['paper'] != title:
      continue
    said = f'{row["sentence"]} ({row["source"]})' + (f'. *Changed: {row["changed"]}*' if row['changed'] else '')
    verdict = f'**{row["verdict"]}**' + ''.join(f'; {row[name]}' for name in ('note', 'reason') if row[name])
    verdict += '' if registered(row) or row['verdict'] == 'not run' else '; not registered before'
    cells = (row['claim'], row['kind'], said, row['expected'], row['measured'], verdict, row['carries'])
    lines.append(f'| {" | ".join(cell.replace("|", chr(92) + "|") for cell in cells)} |')
  return [*lines, '']


def registered(row: dict) -> bool:
  """Whether the interval stood in an earlier commit than that of the runs, or than the row of a claim without runs."""
  return bool(row['stated']) and row['stated'] != row['judged']
