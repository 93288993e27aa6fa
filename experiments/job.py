"""A cell that is being worked on: what training and replays of it share."""

import time
from collections.abc import Callable, Collection, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from dynamics import parallel, plan, progress, stages, train, turns
from dynamics.plan import Cell
from dynamics.schema import ConfigError
from dynamics.study import Study
from dynamics.types import State
from experiments import log, sizes, start_from, store
from experiments.build import after_start, build
from experiments.processes import ALONE, Group

SHARED = 8  # studies and programs that are kept from cell to cell
PROGRAMS = 4  # data, start, what probes keep, and steps; and one an intervention and a probe


class Outcome(NamedTuple):
  """How the work on a cell ended."""

  finished: bool
  diverged: int  # members
  made: bool = True  # here; False where nothing was missing


class Context(NamedTuple):
  """What a command asks for, and where it speaks."""

  out: Any  # the folder of results
  save_every: float  # seconds between checkpoints
  command: str  # for run.json
  at_checkpoints: bool  # read at the checkpoints of a finished run, without training
  say: Callable[[str], None]
  screen: progress.Screen
  stop: Any  # from experiments.signals
  log: tuple[str, ...] = ()  # mirrors, from `experiments.log`
  mirror: Any = None  # an `experiments.mirror.Mirror`
  shared: Any = None  # a dict for what cells of one shape have in common
  group: Group = ALONE  # the processes that run this program


class Job(NamedTuple):
  """A cell that is being worked on."""

  cell: Cell
  study: Study
  members: stages.Members
  grid: Any
  run: store.Run
  title: str
  context: Context

  @property
  def rows(self) -> np.ndarray:
    """The members of this process."""
    return parallel.rows(self.grid, self.cell.members)

  def programs(self, study: Study) -> train.Programs:
    """Those of all members; where memory does not hold them at once, of some after the others, which is said."""

    def make():
      compiled = lambda of: train.compile_programs(of, self.grid, layout=self.cell.config['layout'])
      rest = after_start(self.cell)
      without = lambda: compiled(build(rest)._replace(schedule=study.schedule))
      after = shared(self.context, self._key(rest, study), without)
      programs = _reading(after, rest.hyper).after(compiled(study).draw)
      most = sizes.at_once(self.cell, sizes.of_programs(self.cell, programs, self.members))
      return most, programs if most >= self.cell.members else turns.in_turn(programs, most, study.own_data)

    most, programs = shared(self.context, self._key(self.cell, study), make)
    if most < self.cell.members:
      self.context.say(f'{self.title}: {sizes.turns_text(self.cell, most)}')
    return programs._replace(data=lambda members: programs.data(members, self.cell.config['data_seed']))

  def to_compile(self, study: Study) -> int:
    """How many programs no cell before has: all, the start alone, or none."""
    mine, after = (self._key(cell, study) in (self.context.shared or ()) for cell in (self.cell, after_start(self.cell)))
    return 0 if mine else 1 if after else PROGRAMS + len(study.interventions) + len(study.schedule)

  def _key(self, cell: Cell, study: Study) -> str:
    """The same for cells that have the same programs."""
    return f'{plan.alike(cell)} {list(study.schedule)}'


def _reading(programs: train.Programs, names: Collection[str]) -> train.Programs:
  """Programs that are given the hyper values of these names alone: others would make other programs of them."""
  limited = lambda members: members._replace(hyper={name: members.hyper[name] for name in names})
  of = lambda program: lambda state, frozen, members, *rest: program(state, frozen, limited(members), *rest)
  return programs._replace(
    data=lambda members, *seed: programs.data(limited(members), *seed),
    listen=of(programs.listen),
    advance=of(programs.advance),
    intervene={name: of(program) for name, program in programs.intervene.items()},
    measure={name: of(program) for name, program in programs.measure.items()},
  )


def shared(context: Context, key: str, make: Callable[[], Any]) -> Any:
  """What `make` gives, or gave for an earlier cell with this key: the few that were asked for last are kept."""
  if context.shared is None:
    return make()
  value = context.shared.pop(key) if key in context.shared else make()
  context.shared[key] = value
  for old in list(context.shared)[:-SHARED]:
    del context.shared[old]
  return value


def saved(job: Job, passing: store.Pass, event: train.Event, now: bool) -> bool:
  """Saves where that is due; False where a signal has come, after saving."""
  context = job.context
  due = now or time.monotonic() - passing.since >= context.save_every
  heard, due = context.group.exchange([context.stop.heard, due], lambda all_: [any(heard for heard, _ in all_), all_[0][1]])
  if heard:
    passing.save(event.step, event.state)
    passing.wait()
    context.say(f'stopped at step {event.step} of {job.study.steps}, all saved')
    return False
  if due:
    passing.save(event.step, event.state)
    passing.since = time.monotonic()
  return True


def heard(job: Job, events, after: int | None = None) -> Iterator[train.Event]:
  """The events, shown and mirrored; a device without memory for them is told in a sentence.

  `after` is the step after which a training goes on.
  """
  show = progress.reporter(job.study.steps, job.cell.members, job.context.screen)
  config = plan.flat(job.cell.config)
  hyper = [{name: values[i] for name, values in job.cell.hyper.items()} for i in range(job.cell.members)]
  members = {f'{i} {member_text(job.cell, i)}': {'seed': job.cell.seeds[i], **of, **config} for i, of in enumerate(hyper)}
  try:
    with log.opened(job.context.log, job.run.folder, members, after) as mirror:
      for event in events:
        job.context.stop.patient = True  # from here on there is something to save
        if len(job.rows):  # a process may have readings of no member
          show(event)
        mirror(event)
        yield event
  except ValueError as error:  # data that no network can learn from, which only their values tell
    if 'Gloo' in str(error):  # another process is gone
      raise
    raise ConfigError(f'data: {str(error).splitlines()[0]}.') from error
  except jax.errors.JaxRuntimeError as error:
    if 'RESOURCE_EXHAUSTED' not in str(error):
      raise
    text = f"the device's memory does not hold {job.cell.members} members of {job.title}"
    raise ConfigError(f"{text}: take layout='map', fewer seeds or a smaller batch.size.") from error


def resumed(job: Job, programs, restored, like_frozen):
  return restored and (*restored, frozen(job, programs, like_frozen))


def frozen(job: Job, programs: train.Programs, like):
  """What was saved at the start, or drawn again where that is damaged."""
  frozen = job.run.read_start(like)
  if frozen is None:
    frozen = programs.start(programs.place(job.members), programs.data(job.members))[1]
  return frozen


def origin_of(job: Job, like: State) -> tuple | None:
  """(step, state, frozen) at which the training begins; None where it begins at step 0."""
  if job.cell.source is None or job.cell.source.take != 'state':
    return None
  return start_from.state(job.cell, job.context.out, like)


def member_text(cell: Cell, i: int) -> str:
  """'seed 3, lr 0.1': the seed, the learning rate and whatever else members differ in."""
  differing = [name for name, values in cell.hyper.items() if name == 'lr' or len(set(values)) > 1]
  return ', '.join([f'seed {cell.seeds[i]}', *(f'{name} {cell.hyper[name][i]:g}' for name in differing)])
