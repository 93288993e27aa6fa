"""What was stated before what: docs/gallery/registered/<paper>.csv holds the interval of every claim, and git says since when.

`python -m paper_figures --register` writes it, before the runs that judge. A row that changes begins anew. `since` names the
commit of an interval that is older than the file, in the paper's own file.
"""

import csv
import io
import pathlib
import subprocess
from collections.abc import Callable

from analysis import claims, tables

ROOT = pathlib.Path(__file__).parents[1]
FOLDER = ROOT / 'docs' / 'gallery' / 'registered'  # a file a paper, so that two papers never meet in one merge
DIGITS = 12  # of a commit


def register(name: str, paper) -> list[str]:
  """States the intervals of a paper as they are now; gives the claims whose rows are new or changed."""
  old, now = rows(name), {claim.name: claims.expected(claim) for claim in paper.CLAIMS}
  same = {claim for claim in now if claim in old and old[claim]['expected'] == now[claim]}
  text = io.StringIO()
  writer = csv.writer(text, lineterminator='\n')
  writer.writerow(('claim', 'expected', 'since'))
  writer.writerows((claim, now[claim], old[claim]['since'] if claim in same else '') for claim in now)
  FOLDER.mkdir(parents=True, exist_ok=True)
  _file(name).write_text(text.getvalue())
  return [claim for claim in now if claim not in same]


def rows(name: str) -> dict[str, dict[str, str]]:
  """Claim -> its row."""
  file = _file(name)
  return {row['claim']: row for row in csv.DictReader(io.StringIO(file.read_text()))} if file.is_file() else {}


def stated(name: str) -> dict[str, tuple[str, str]]:
  """Claim -> (what was stated, the commit in which it first stood); '' for one that is not committed."""
  blame, intervals, commit = _git('blame', '--porcelain', '--', str(_file(name).relative_to(ROOT))), {}, ''
  for line in (blame or '').splitlines():
    if line.startswith('\t'):
      claim, expected, since = next(csv.reader([line[1:]]))
      intervals[claim] = (expected, since or ('' if set(commit) == {'0'} else commit[:DIGITS]))
    elif len(line.split()[0]) == 40:
      commit = line.split()[0]
  return intervals


def history(name: str, paper, cells_of: Callable, out: pathlib.Path) -> dict[str, dict[str, str]]:
  """Claim -> `stated`, the commit in which its interval first stood, and `judged`, that of the first of its runs."""
  intervals, commits = stated(name), {}
  for claim in paper.CLAIMS:
    expected, commit = intervals.get(claim.name, ('', ''))
    begun = [tables.begun(cell, out) for config in claim.of for cell in cells_of(config)]
    first = min(filter(None, begun), key=lambda command: command['at'], default={})
    commits[f'{name}/{claim.name}'] = {
      'stated': commit if expected == claims.expected(claim) else '',
      'judged': first.get('git', ''),
    }
  return commits


def precedes(first: str, second: str) -> bool:
  """Whether one commit is an ancestor of another, and not the same."""
  return first != second and _git('merge-base', '--is-ancestor', first, second.removesuffix('-dirty')) is not None


def _file(name: str) -> pathlib.Path:
  return FOLDER / f'{name}.csv'


def _git(*words: str) -> str | None:
  """What git says; None where it cannot say it."""
  try:
    done = subprocess.run(['git', '-C', str(ROOT), *words], capture_output=True, text=True, check=False)
  except OSError:
    return None
  return done.stdout if done.returncode == 0 else None
