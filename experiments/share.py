"""How processes share the cells of a sweep: each takes the next one that nobody holds, and the truth is on the disk."""

import pathlib
import time
from collections.abc import Callable, Collection, Hashable, Sequence
from typing import Any, NamedTuple

from dynamics import plan
from dynamics.plan import Cell
from dynamics.schema import ConfigError
from experiments.processes import ALONE, Group

PAUSE = 1.0  # seconds between looks at cells that others hold


class Unit(NamedTuple):
  """What is taken at once: a cell of a sweep, or the source run of one."""

  cell: Cell
  title: str  # 'cell 2/6', or 'cell 2/6, its source'
  key: Hashable  # the same for the same work
  needs: Hashable  # the key of its source, which must be done before; None without one
  is_source: bool  # of a cell that was asked for
  command: str  # for run.json; '' for that of the process

  @property
  def name(self) -> str:
    return f'{self.title} {plan.identity(self.cell)}'


class Shared(NamedTuple):
  """How far a process came with its units, by their keys."""

  made: list[Hashable]  # here
  before: list[Hashable]  # done when it began
  others: list[Hashable]  # made by others meanwhile
  held: dict[Hashable, str]  # those that others work on -> who
  left: list[Hashable]  # not begun: they wait for a source, or a signal came first
  diverged: int  # members
  stopped: bool  # by a signal
  unsent: int = 0  # runs of which the mirror lacks something
  at_once: bool = False  # by a signal that nothing could be saved for, heard by this process alone

  @property
  def finished(self) -> bool:
    return not (self.held or self.left or self.stopped)


def units(cells: Sequence[Cell], share: tuple[int, int] = (1, 1), commands: Sequence[str] = ()) -> list[Unit]:
  """All runs that a command is about, each after its source, and each once.

  Args:
    share: (i, n) for the i-th of n shares of the cells.
    commands: of each cell, where they differ.
  """
  table: dict[Hashable, Unit] = {}
  for number, cell in list(enumerate(cells))[share[0] - 1 :: share[1]]:
    way = [cell]
    while way[-1].source is not None:
      way.append(way[-1].source.cell)
    needs = None
    for depth, run in reversed(list(enumerate(way))):
      key = (plan.identity(run), run.milestones, repr(run.probes))
      title = f'cell {number + 1}/{len(cells)}' + ', its source' * (depth > 0)
      table.setdefault(key, Unit(run, title, key, needs, depth > 0, commands[number] if commands else ''))
      needs = key
  return list(table.values())


def status(cell: Cell, out: pathlib.Path) -> str:
  """'to run', 'to read' where the training is done and a table is not, or 'done'. Files are not read."""
  folder = out / plan.identity(cell)
  tables = [folder / 'tables' / plan.table_identity(cell, probe) for probe in cell.probes]
  if not (folder / 'done.json').is_file():
    return 'to run'
  return 'done' if all((table / 'done.json').is_file() for table in tables) else 'to read'


def parse(text: str) -> tuple[int, int]:
  """(i, n) of `--cells=i/n`.

  Raises:
    ConfigError: no such share.
  """
  first, slash, last = text.partition('/')
  digits = all(word.isascii() and word.isdigit() and len(word) < 10 for word in (first, last))
  if not slash or not digits or not 1 <= int(first) <= int(last):
    raise ConfigError(f'--cells is {text!r}; it must be i/n, the i-th of n shares of the cells, such as 1/3, 2/3 or 3/3.')
  return int(first), int(last)


def share(
  units: Sequence[Unit], done: Collection[Hashable], run: Callable[[Unit], Any], say, stop, wait: bool, group: Group = ALONE
) -> Shared:
  """Takes one unit after the other that nobody holds, and looks again at the others, until nothing can be taken.

  Args:
    done: the keys of those that are done already.
    run: makes what is missing of a unit and gives the `Outcome` of `experiments.work`; raises `Held` where another process does.
    stop: from `experiments.signals`.
    wait: whether to look again and again at what others hold, and take over the cells of those that die.
    group: the processes that run one program; all take the same units.
  """
  from experiments.disk import Held

  outcomes, held, announced, stopped, at_once = {}, {}, set(), False, False
  try:
    while not stopped:
      taken = 0
      for unit in (unit for unit in units if unit.key not in outcomes):
        if group.any(stop.heard):
          say(f'stopped before {unit.title}')
          stopped = True
          break
        if unit.needs is not None and unit.needs not in outcomes:
          continue
        try:
          outcome = run(unit)
        except Held as error:
          held[unit.key] = error.holder
          if (unit.key, error.holder) not in announced:
            announced.add((unit.key, error.holder))
            say(f'{unit.name}: held by {error.holder}')
          continue
        held.pop(unit.key, None)
        if not outcome.finished:
          stopped = True
          break
        outcomes[unit.key], taken = outcome, taken + 1
      if len(outcomes) == len(units) or not (taken or wait):
        break
      if not taken and not stopped:
        time.sleep(PAUSE)
  except KeyboardInterrupt:
    say('stopped at once; what was saved before is whole')
    stopped = at_once = True
  made = [key for key, outcome in outcomes.items() if outcome.made]
  before = [key for key in outcomes if key in done and key not in made]
  others = [key for key in outcomes if key not in done and key not in made]
  left = [unit.key for unit in units if unit.key not in outcomes and unit.key not in held]
  return Shared(made, before, others, held, left, sum(o.diverged for o in outcomes.values()), stopped, at_once=at_once)


def lines(units: Sequence[Unit], shared: Shared) -> list[str]:
  """What a process says at its end; nothing where it made or found all that there was, alone."""
  if len(units) == 1 and not shared.held:
    return []
  counts = {'made here': shared.made, 'found done': shared.before, 'made by others': shared.others, 'held': shared.held}
  parts = [f'{len(keys)} {words}' for words, keys in counts.items() if keys]
  parts += [f'{len(shared.left)} left'] * bool(shared.left)
  text = [f'{len(units)} {"cell" if len(units) == 1 else "cells, sources included"}: {", ".join(parts) or "none is done"}']
  text += [f'  {unit.name} is held by {shared.held[unit.key]}' for unit in units if unit.key in shared.held]
  if not shared.finished and not shared.stopped:
    source = ' or its source' if shared.left else ''
    text.append(f'not finished: others hold what is left{source}; give the same command again later, or with --wait')
  return text
