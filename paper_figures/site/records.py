"""What the pages say of papers and claims: the ledger's rows beside the claims of the code, which may be newer."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from analysis import claims
from paper_figures import pages
from paper_figures.site import intervals

CARRIES = ('everywhere it was tried', 'in some of the other settings', 'nowhere else', 'not tried elsewhere')
SIGNS = {'holds': '✓', 'fails': '✗', 'undecided': '?', 'diverged': '∞', 'not run': '○'}  # beside the word and the colour


class Record(NamedTuple):
  """A claim as its pages show it."""

  paper: str  # the name of the paper's file
  row: Mapping[str, str]  # of the ledger
  carries: str  # one of CARRIES
  drawing: str  # SVG, '' where there is no number
  unit: str  # what the number is
  notes: tuple[str, ...]  # what a reader must know of this verdict: sentences
  against: str  # what of another paper contradicts it

  @property
  def name(self) -> str:
    return self.row['claim'].partition('/')[2]


class Paper(NamedTuple):
  """A paper as its page shows it."""

  name: str
  title: str
  authors: str
  year: str
  arxiv: tuple[str, ...]
  about: str  # the rest of its docstring
  records: tuple[Record, ...]


def paper(name: str, module: Any, rows: Sequence[Mapping[str, str]]) -> Paper:
  """A paper's file and the ledger's rows as a page shows them.

  Args:
    name: of the paper's file.
    module: the paper's module.
    rows: of the whole ledger.
  """
  heading, _, about = (module.__doc__ or name).partition('\n')
  heading = ' '.join(heading.split()).rstrip('.')
  authors = re.search(r' \(([A-Z][^()]*?) \d{4}\)', heading)
  stored = {row['claim']: row for row in rows if row['claim'].partition('/')[0] == name}
  known = {f'{name}/{claim.name}': claim for claim in module.CLAIMS}
  records = [_record(name, stored.get(full), known.get(full)) for full in dict.fromkeys((*known, *stored))]
  return Paper(
    name,
    pages.short(heading) if authors else re.split(r' \(|, arXiv', heading)[0],
    authors[1] if authors else '',
    pages.year(heading + '.') or '',
    tuple(re.findall(r'arXiv (\d{4}\.\d{4,5})', heading)),
    about.strip(),
    tuple(records),
  )


def _record(name: str, row: Mapping[str, str] | None, claim: claims.Claim | None) -> Record:
  """One claim; `row` is None where the ledger does not have it, `claim` where the code does not."""
  notes = []
  if row is None:
    nothing = claims.Verdict(claim, claims.Estimate(*(float('nan'),) * 3, 0), claims.NOT_RUN, ())
    row = {'stated': '', 'judged': '', **claims.row(name, nothing)}
    notes.append('The ledger has no verdict of this claim yet.')
  elif claim is None:
    notes.append('The code has no such claim any more: this verdict was made by another version of it.')
  elif row['expected'] != claims.expected(claim):
    notes.append(
      f'The claim was stated anew since it was judged, as {claims.expected(claim)}; this verdict is that of the old interval.'
    )
  elif row['sentence'] != claim.says:
    notes.append(f'The sentence has other words since it was judged: {claim.says}.')
  if row['verdict'] == claims.NOT_RUN:
    notes.append('Its runs have not been made, so there is no number to draw.')
  elif not pages.registered(row):
    notes.append('Its interval was not registered before its runs.')
  arms = [intervals.Arm('measured', row['measured'], row['verdict']), *intervals.scope(row['scope'], row['carries'])]
  drawing = intervals.drawing(row['expected'], arms)
  if row['verdict'] == claims.DIVERGED:
    notes.append('Its number is NaN, so there is no line to draw.')
  elif row['measured'] and not drawing:
    notes.append(f'Its number cannot be drawn: the ledger says {row["measured"]!r} against {row["expected"]!r}.')
  of = intervals.claimed(row['expected'])
  against = row.get('against') or getattr(claim, 'against', '')
  against = against if isinstance(against, str) else ', '.join(against)
  return Record(name, row, carried(row['carries']), drawing, of[0] if of else row['expected'], tuple(notes), against)


def carried(text: str) -> str:
  """One of CARRIES for the ledger's column."""
  match = re.match(r'(\d+) of (\d+)', text)
  if not match or match[2] == '0':
    return CARRIES[3]
  return CARRIES[0] if match[1] == match[2] else CARRIES[1] if match[1] != '0' else CARRIES[2]


def counts(records: Sequence[Record]) -> dict[str, int]:
  """Verdict -> the number of claims, of those that occur."""
  verdicts = [record.row['verdict'] for record in records]
  return {verdict: verdicts.count(verdict) for verdict in pages.VERDICTS if verdict in verdicts}
