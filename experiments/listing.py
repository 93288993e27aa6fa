"""The configs that there are, by paper: what each is of, how long it runs, and how much of it is done."""

import ast
import itertools
import pathlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

from dynamics.schema import ConfigError
from experiments import share

CONFIGS = pathlib.Path(__file__).parents[1] / 'configs'


class Entry(NamedTuple):
  """What the docstring of a config says."""

  path: pathlib.Path
  source: str  # 'arXiv 2310.02244, abstract'
  title: str
  time: str  # '3 minutes on one core'


def entries(folder: pathlib.Path = CONFIGS) -> list[Entry]:
  """One a config of a folder, by name."""
  return [_entry(path) for path in sorted(folder.glob('[!_]*.py'))]


def _entry(path: pathlib.Path) -> Entry:
  text = ast.get_docstring(ast.parse(path.read_text())) or ''
  head = ' '.join(text.partition('\n\n')[0].split())
  source, colon, title = head.partition(': ')
  times = [line.partition(': ')[2].strip().rstrip('.') for line in text.splitlines() if line.startswith('Run time: ')]
  return Entry(path, *((source, title) if colon else ('', head)), next(iter(times), 'run time not stated'))


def progress(entry: Entry, out: pathlib.Path) -> str:
  """'done', '3 of 6 cells', 'not run', or what is wrong with the config."""
  from experiments import config  # with jax, after --help

  try:
    cells = config.cells(str(entry.path))
  except ConfigError as error:
    return f'cannot be read: {error}'
  done = sum(share.status(cell, out) == 'done' for cell in cells)
  return 'not run' if not done else 'done' if done == len(cells) else f'{done} of {len(cells)} cells'


def lines(out: pathlib.Path, show: Callable[[str], None], folder: pathlib.Path = CONFIGS) -> Iterator[str]:
  """A line a paper, and one for each of its configs."""
  all_ = entries(folder)
  width = max((len(entry.path.stem) for entry in all_), default=0)
  for source, group in itertools.groupby(all_, lambda entry: entry.source.partition(',')[0]):
    yield source or 'of no paper'
    for entry in group:
      show(f'reading {entry.path.name}')
      yield f'  {entry.path.stem:{width}}  {progress(entry, out):14}  {entry.time.partition(";")[0]:24}  {entry.title}'
  yield f'{len(all_)} configs; results in {out}; one runs with: python -m experiments.run --config=configs/NAME.py'
