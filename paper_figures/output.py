"""What `python -m paper_figures` writes: figures with the numbers behind them, and the ledger of verdicts."""

import csv
import io
import json
import math
import pathlib
from collections.abc import Callable, Sequence

import matplotlib.style
import numpy as np
from matplotlib.figure import Figure

from analysis import claims
from analysis.statistics import Estimate
from dynamics.plan import identity
from paper_figures.paper import STYLE, PaperFigure

THUMBNAIL = 150_000  # bytes at most
COLUMNS = ('paper', 'claim', 'sentence', 'source', 'expected', 'measured', 'verdict', 'note', 'runs')


def figure(spec: PaperFigure, get: Callable, cells_of: Callable, to: pathlib.Path, gallery: pathlib.Path | None) -> pathlib.Path:
  """Draws one figure as PDF and PNG; beside them the CSV of every table it asked for, and the hashes of its runs."""
  asked = {}

  def noted(config, probe):
    asked[config, probe] = get(config, probe)
    return asked[config, probe]

  to.mkdir(parents=True, exist_ok=True)
  with matplotlib.style.context(STYLE):
    drawing = spec.draw(noted)
    runs = sorted({identity(cell) for config in spec.configs for cell in cells_of(config)})
    # Without dates in the file, the same tables give the same bytes.
    drawing.savefig(to / f'{spec.name}.pdf', metadata={'CreationDate': None, 'Keywords': ' '.join(runs)})
    drawing.savefig(to / f'{spec.name}.png', metadata={'Description': ' '.join(runs)})
    if gallery:
      gallery.mkdir(parents=True, exist_ok=True)
      _thumbnail(drawing, gallery / f'{spec.name}.png', runs)
  for (config, probe), table in asked.items():
    table.to_csv(to / f'{spec.name}_{pathlib.Path(config).stem}_{probe}.csv', index=False)
  (to / f'{spec.name}.json').write_text(json.dumps({'caption': spec.caption, 'runs': runs}, indent=1))
  return to / f'{spec.name}.png'


def verdict(claim: claims.Claim, get: Callable, cells_of: Callable, available: bool) -> claims.Verdict:
  """The verdict of a claim, or 'not run'."""
  runs = [identity(cell) for config in claim.of for cell in cells_of(config)]
  if not available:
    return claims.Verdict(claim, Estimate(math.nan, math.nan, math.nan, 0), claims.NOT_RUN, tuple(runs))
  return claims.judge(claim, claim.samples(get), runs, np.median)


def table(name: str, verdicts: Sequence[claims.Verdict]) -> str:
  """Verdicts as lines for a terminal."""
  lines = []
  for v in verdicts:
    row = claims.row(name, v)
    lines.append(f'{row["verdict"]:>9}  {row["claim"]}  {row["sentence"]}.')
    lines.append(f'{"":>9}  {row["expected"]}; measured {row["measured"] or "nothing"} {row["note"]}'.rstrip())
  return '\n'.join(lines)


def ledger(name: str, paper, verdicts: Sequence[claims.Verdict], folder: pathlib.Path) -> pathlib.Path:
  """Writes ledger.csv and ledger.md, in which this paper's rows take the place of its old ones."""
  folder.mkdir(parents=True, exist_ok=True)
  path = folder / 'ledger.csv'
  old = list(csv.DictReader(io.StringIO(path.read_text()))) if path.is_file() else []
  title = ' '.join(paper.__doc__.splitlines()[0].split())
  rows = [row for row in old if not row['claim'].startswith(f'{name}/')]
  rows += [{'paper': title, **claims.row(name, v)} for v in verdicts]
  rows.sort(key=lambda row: row['claim'])
  text = io.StringIO()
  writer = csv.DictWriter(text, COLUMNS, lineterminator='\n')
  writer.writeheader()
  writer.writerows(rows)
  path.write_text(text.getvalue())
  (folder / 'ledger.md').write_text(_markdown(rows))
  return folder / 'ledger.md'


def gallery(papers: Sequence, folder: pathlib.Path) -> pathlib.Path:
  """Writes README.md: the thumbnails that are there with their captions, then the ledger."""
  lines = ['# Gallery', '', 'Made by `python -m paper_figures --gallery`; what a verdict means is in `analysis/claims.py`.', '']
  for paper in papers:
    shown = [spec for spec in paper.FIGURES if (folder / f'{spec.name}.png').is_file()]
    lines += [f'## {paper.__doc__.splitlines()[0]}', ''] if shown else []
    for spec in shown:
      lines += [f'![{spec.name}]({spec.name}.png)', '', f'{spec.caption} From {", ".join(f"`{c}`" for c in spec.configs)}.', '']
  path = folder / 'README.md'
  path.write_text('\n'.join(lines) + '\n' + (folder / 'ledger.md').read_text())
  return path


def _markdown(rows: Sequence[dict]) -> str:
  lines = ['# Ledger', '', 'Each claim, the interval that was stated before the run, and what was measured.', '']
  for title in dict.fromkeys(row['paper'] for row in rows):
    lines += [f'## {title}', '', '| claim | the paper says | expected | measured | verdict |', '|---|---|---|---|---|']
    for row in rows:
      if row['paper'] == title:
        note = f' ({row["note"]})' if row['note'] else ''
        said = f'{row["sentence"]} ({row["source"]})'
        lines.append(f'| {row["claim"]} | {said} | {row["expected"]} | {row["measured"]} | **{row["verdict"]}**{note} |')
    lines.append('')
  return '\n'.join(lines)


def _thumbnail(drawing: Figure, path: pathlib.Path, runs: Sequence[str]) -> None:
  """A PNG small enough to commit."""
  for dpi in (110, 90, 70, 50):
    drawing.savefig(path, dpi=dpi, metadata={'Description': ' '.join(runs)})
    if path.stat().st_size < THUMBNAIL:
      return
  raise ValueError(f'{path} is over {THUMBNAIL} bytes even at 50 dots an inch: draw fewer points')
