"""The figures of a page: drawn as SVG where their runs are there, else the committed pictures, and a sentence that says which."""

import functools
import json
import pathlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import metadata
from typing import NamedTuple

from analysis import tables
from dynamics import sealed
from dynamics.plan import Cell, identity
from dynamics.schema import ConfigError
from paper_figures import output
from paper_figures.paper import PaperFigure

LARGEST = 400_000  # bytes of an SVG; a larger one is shown as PNG
DONE, HALF, OLD, ABSENT, DAMAGED = 'done', 'half done', 'made by another version of the code', 'not there', 'damaged'


class Picture(NamedTuple):
  """What the page shows of a figure."""

  file: pathlib.Path | None  # None where there is nothing to show
  sentence: str  # where the picture is from, or why there is none
  curves: pathlib.Path | None = None  # what it shows, from `paper_figures.panels`


def committed(spec: PaperFigure, paper: str, gallery: pathlib.Path, why: str) -> Picture:
  """The picture of the gallery, and why it is that one; none where it is not there."""
  file = gallery / f'{spec.name}.png'
  if file.is_file():
    return Picture(file, f'The committed picture: {why}.', _curves(spec, gallery))
  return Picture(None, f'No picture is committed, and {why}. Draw it with: python -m paper_figures {paper}')


def picture(
  spec: PaperFigure, paper: str, cells_of: Callable, out: pathlib.Path, to: pathlib.Path, gallery: pathlib.Path, others: Mapping
) -> Picture:
  """A figure from stored runs, or why not.

  Args:
    spec: what to draw.
    paper: the name of the paper's file.
    cells_of: config -> its cells.
    out: the folder of results.
    to: the folder of figures, where a drawing is kept for the next time.
    gallery: the folder of committed pictures.
    others: from `made_as`, the stored runs by what they are of.
  """
  try:
    cells = [cell for config in spec.configs for cell in cells_of(config)]
  except ConfigError as error:
    return committed(spec, paper, gallery, f'its runs cannot be named here: {str(error).rstrip(".")}')
  states = [state(cell, out, others) for cell in cells]
  if set(states) != {DONE}:
    return committed(spec, paper, gallery, f'of its {len(cells)} runs in {out.name}, {_counted(states)}')
  try:
    made_of = output.inputs(spec.configs, cells_of, out)
    if not output.up_to_date(spec, made_of, to):
      get = lambda config, probe: tables.load(cells_of(config), probe, out, f'python -m experiments.run --config={config}')
      output.figure(spec, functools.cache(get), cells_of, to, None, made_of)
  except (LookupError, ValueError, OSError) as error:  # runs of other versions may hold other tables
    return committed(spec, paper, gallery, f'its {len(cells)} stored runs cannot be drawn ({" ".join(str(error).split())})')
  file, said = to / f'{spec.name}.svg', f'Drawn from {len(cells)} stored run{"s" * (len(cells) > 1)}{_versions(cells, out)}.'
  if file.stat().st_size > LARGEST:
    file, said = to / f'{spec.name}.png', f'{said} As SVG it would take {file.stat().st_size / 1e6:.1f} MB, so this is a PNG.'
  return Picture(file, said, _curves(spec, to))


def _curves(spec: PaperFigure, folder: pathlib.Path) -> pathlib.Path | None:
  file = folder / output.CURVES.format(spec.name)
  return file if file.is_file() else None


def small(picture: pathlib.Path) -> bytes:
  """A picture's bytes; of an SVG without line breaks, and with places to a hundredth of a point: half of the size."""
  if picture.suffix != '.svg':
    return picture.read_bytes()
  short = lambda number: f'{float(number[0]):.2f}'.rstrip('0').rstrip('.')
  places = lambda attribute: re.sub(r'-?\d+\.\d{3,}', short, attribute[0])
  text = re.sub(r'\s(?:d|x|y)="[^"]*"', places, picture.read_text())
  return re.sub(r'\s*\n\s*', ' ', text).encode()


def state(cell: Cell, out: pathlib.Path, others: Mapping[str, object]) -> str:
  """Where the run of a cell stands."""
  folder = out / identity(cell)
  try:
    if all(tables.done([cell], out)):
      tables.summary(cell, out)
      return DONE
    if folder.is_dir():
      tables.begun(cell, out)
      return HALF
  except tables.Missing:
    return DAMAGED
  return OLD if _key(cell.config, cell.seeds, cell.hyper) in others else ABSENT


def made_as(out: pathlib.Path) -> set[str]:
  """What the runs of a folder are of, whatever the version of the code: config, seeds and hyper values."""
  found = set()
  for path in out.glob('*/run.json'):
    try:
      record = sealed.read(path)
      found.add(_key(record['config'], record['seeds'], record['hyper']))
    except (sealed.SealError, KeyError):  # of a run that is asked for, `state` says so
      continue
  return found


def _key(config: Mapping, seeds: Sequence[int], hyper: Mapping) -> str:
  return json.dumps([config, list(seeds), hyper], sort_keys=True)


def _counted(states: Iterable[str]) -> str:
  states = list(states)
  parts = [(states.count(word), word) for word in (DONE, HALF, OLD, DAMAGED, ABSENT)]
  return ', '.join(f'{number} {"is" if number == 1 else "are"} {word}' for number, word in parts if number)


def _versions(cells: Sequence[Cell], out: pathlib.Path) -> str:
  """The versions of jax with which runs were begun, where they differ from the one that is here."""
  made = {(tables.begun(cell, out) or {}).get('versions', {}).get('jax', 'an unknown version') for cell in cells}
  here = metadata.version('jax')
  return '' if made == {here} else f', made with jax {" and ".join(sorted(made))}, where {here} is here'
