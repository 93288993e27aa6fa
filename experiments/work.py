"""The work on one cell, whose source run is done: its training, then the tables that are missing."""

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dynamics import parallel, plan, progress, train, turns
from dynamics.plan import Cell
from dynamics.schema import ConfigError
from dynamics.study import Study, due
from dynamics.types import State
from experiments import log, record, sizes, start_from, store
from experiments.build import build
from experiments.processes import ALONE, Group
from experiments.resolve import needs_x64

SHARED = 8  # studies and programs that are kept from cell to cell
PROGRAMS = 3  # data, start and advance; and one an intervention and a probe


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
  members: train.Members
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
      programs = train.compile_programs(study, self.grid, layout=self.cell.config['layout'])
      most = sizes.at_once(self.cell, sizes.of_programs(self.cell, programs, self.members))
      return most, programs if most >= self.cell.members else turns.in_turn(programs, most, study.own_data)

    most, programs = _shared(self.context, self.key(study), make)
    if most < self.cell.members:
      self.context.say(f'{self.title}: {sizes.turns_text(self.cell, most)}')
    return programs._replace(data=lambda members: programs.data(members, self.cell.config['data_seed']))

  def key(self, study: Study) -> str:
    """The same for cells that have the same programs."""
    return f'{plan.alike(self.cell)} {list(study.schedule)}'


def _shared(context: Context, key: str, make: Callable[[], Any]) -> Any:
  """What `make` gives, or gave for an earlier cell with this key: the newest few are kept."""
  if context.shared is None:
    return make()
  if key not in context.shared:
    for old in list(context.shared)[: 1 - SHARED]:
      del context.shared[old]
    context.shared[key] = make()
  return context.shared[key]


def run_cell(cell: Cell, title: str, context: Context) -> Outcome:
  """Makes what is missing of a cell, up to its end or to the next checkpoint after a signal.

  Raises:
    Held: another process works on it.
  """
  name = plan.identity(cell)
  folder, group = context.out / name, context.group
  is_done = lambda: group.agreed(lambda: store.is_done(folder))
  diverged = lambda: len(group.agreed(lambda: store.read_done(folder)['diverged']))
  link = context.mirror and context.mirror.run(folder, cell.milestones)
  if context.at_checkpoints and not is_done():
    raise ConfigError(f'--at=checkpoints reads finished runs, and {folder} is not one: leave it out, and train first.')
  context.screen.show('loading')
  context.stop.patient = False
  look = store.Run(
    folder, cell.milestones, context.say, group
  )  # without its lock: what is done may lie where nothing can be written
  if context.at_checkpoints:
    cell = _read_at_checkpoints(cell, look)
  names = {probe: plan.table_identity(cell, probe) for probe in cell.probes}
  if _is_whole(cell, look, names):
    done = group.agreed(lambda: store.read_done(folder))
    context.say(f'{title} {name}: done before ({cell.members} members, {done["step"]} steps)')
    if link:
      link.finish()
    return Outcome(True, len(done['diverged']), made=False)
  mirrored = link.working(context.stop) if link else contextlib.nullcontext()
  with jax.enable_x64(needs_x64(cell)), store.opened(folder, cell.milestones, context.say, group) as run, mirrored:
    if _is_whole(cell, run, names):  # between the look and the lock
      context.say(f'{title} {name}: done by another process')
      return Outcome(True, diverged(), made=False)
    study = _shared(context, plan.alike(cell), lambda: build(cell))._replace(data_seed=cell.config['data_seed'])
    members = train.join(cell.seeds, cell.hyper, start_from.variables(cell, context.out))
    job = Job(cell, study, members, parallel.mesh(cell.members, cell.config['data_parallel']), run, f'{title} {name}', context)
    group.agreed(lambda: record.note(folder, cell, record.surroundings(job.grid), context.command, context.say))
    if not is_done() and not _train(job, names):
      return Outcome(False, 0)
    for probe, lost in run.holes(names).items():
      if not _fill(job, probe, names[probe], lost):
        return Outcome(False, 0)
    missing = run.missing(names)
    if (missing or _lost_milestones(cell, run)) and not _replay(job, missing):
      return Outcome(False, 0)
    return Outcome(True, diverged())


def _is_whole(cell: Cell, run: store.Run, names: Mapping[str, str]) -> bool:
  """Whether nothing of a cell is missing."""

  def look() -> bool:
    there = store.is_done(run.folder) and record.is_there(run.folder)
    return there and not run.missing(names) and not _lost_milestones(cell, run)

  return run.group.agreed(look)


def _train(job: Job, names: Mapping[str, str]) -> bool:
  """Trains to the end, with the readings of the tables that are under way; False where a signal came first."""
  run, context = job.run, job.context
  newest = run.training({}).newest()
  under_way = run.missing(names) if newest is None else {p: n for p, n in names.items() if newest[1].get(p) == n}
  study = job.study._replace(schedule={probe: job.study.schedule[probe] for probe in under_way})
  at_hand = job.key(study) in (context.shared or ())
  programs, passing = job.programs(study), run.training(under_way)
  try:
    like_state, like_frozen = programs.shapes(job.members)
    resume = _resumed(job, programs, passing.restore(like_state), like_frozen) or _origin(job, like_state)
    count = PROGRAMS + len(study.interventions) + len(study.schedule)
    begun = (
      f'going on from step {resume[0]}'
      if resume
      else 'with the programs of a cell before'
      if at_hand
      else f'compiling {count} programs'
    )
    context.say(f'{job.title}: {job.cell.members} members x {study.steps} steps; {begun}')
    context.screen.show('starting' if at_hand else f'compiling {count} programs')
    spent, event = {}, None
    training = train.events(study, job.members, programs, resume=resume, stops=job.cell.milestones)
    for event in _heard(job, training, resume and resume[0]):
      run.save_start(event.frozen)
      passing.append(event.step, event.readings, job.rows)
      for part, seconds in event.seconds.items():
        spent[part] = spent.get(part, 0.0) + seconds
      if event.step < study.steps and not _saved(job, passing, event, event.step in job.cell.milestones):
        return False
    context.screen.show('saving')
    passing.finish(event.step, event.state)
  finally:
    passing.close()
  own = job.rows[diverged_members(event.state)].tolist()
  lost = sorted(i for members in context.group.gathered(own) for i in members)
  run.finish(event.step, {'diverged': lost, 'seconds': {k: round(v, 3) for k, v in spent.items()}})
  if lost:
    which = '; '.join(f'{i} ({member_text(job.cell, i)})' for i in lost[:5]) + ('; ...' if len(lost) > 5 else '')
    context.say(f'  diverged: {len(lost)} of {job.cell.members} members: {which}; their readings are NaN from there on')
  context.say(f'  done in {progress.duration(sum(spent.values()))}: {run.folder}')
  return True


def _replay(job: Job, missing: Mapping[str, str]) -> bool:
  """Makes tables and milestones that a finished run lacks, to the same bits; False where a signal came first."""
  run, context = job.run, job.context
  lost = _lost_milestones(job.cell, run)
  study = job.study._replace(schedule={probe: job.study.schedule[probe] for probe in missing})
  programs = job.programs(study)
  training, passing = run.archive(), run.replay(missing)
  try:
    like_state, like_frozen = programs.shapes(job.members)
    origin = _origin(job, like_state)
    moments = sorted(t for t in {*due(study.schedule, study.steps), *lost} if origin is None or t > origin[0])
    newest = passing.newest()
    if newest is not None and newest[1] != dict(missing):
      run.end_replay()  # of other tables
    restored = passing.restore(like_state)
    event, step = None, -1 if restored is None else restored[0]
    parts = [(begin, last) for begin, last in stretches(moments, _starts(job, study, like_state)) if last > step]
    words = ', '.join(missing) or 'checkpoints'
    count = sum(last - max(begin or 0, step) for begin, last in parts)
    context.say(
      f'{job.title}: reading {words}; {count} steps again' if count else f'{job.title}: reading {words}, without training'
    )
    resume = _resumed(job, programs, restored, like_frozen) or origin
    for begin, last in parts:
      reread = begin is not None and begin > step
      if reread:
        state = training.read(begin, like_state)
        if state is None:  # and now lies in damaged/
          return _replay(job, missing)
        resume = (begin, state, _frozen(job, programs, like_frozen))
      replayed = train.events(study, job.members, programs, resume=resume, reread=reread, until=last, stops=lost)
      for event in _heard(job, replayed):
        passing.append(event.step, event.readings, job.rows)
        if event.step in lost:
          _keep(training, event)
        if event.step < moments[-1] and not _saved(job, passing, event, False):
          return False
      step = event.step
    if event is not None:
      _compare(job, training, event)
    if event is None and restored is None:
      passing.mark_done()  # tables that are read at no step
    else:
      passing.finish(*((event.step, event.state) if event else restored))
  finally:
    training.close()
    passing.close()
  run.end_replay()
  context.say(f'  done: {run.folder}')
  return True


def _fill(job: Job, probe: str, name: str, lost: Mapping[str, tuple[int, int]]) -> bool:
  """Makes the lost parts of a table again, from the checkpoints before them; False where a signal came first.

  A part that then has other bytes, by other versions or devices, fills no hole: the whole table is made again.
  """
  run, context = job.run, job.context
  study = job.study._replace(schedule={probe: job.study.schedule[probe]})
  programs, training = job.programs(study), run.archive()
  within = lambda t, span: span[0] <= t <= span[1]
  try:
    like_state, like_frozen = job.like(programs)
    moments = [t for t in due(study.schedule, study.steps) if any(within(t, span) for span in lost.values())]
    parts = stretches(moments, _starts(job, study, like_state))
    count = sum(last - (begin or 0) for begin, last in parts)
    context.say(f'{job.title}: {len(lost)} damaged parts of {probe} are made again; {count} steps again')
    readings: dict[int, Any] = {}
    for begin, last in parts:
      resume = _origin(job, like_state)
      if begin is not None:
        state = training.read(begin, like_state)
        if state is None:  # and now lies in damaged/
          return _fill(job, probe, name, lost)
        resume = (begin, state, _frozen(job, programs, like_frozen))
      replayed = train.events(study, job.members, programs, resume=resume, reread=begin is not None, until=last)
      for event in _heard(job, replayed):
        if probe in event.readings and event.step in moments:
          readings[event.step] = event.readings[probe]
        if context.stop.heard:
          context.say(f'stopped at step {event.step} of {study.steps}, all saved')
          return False
  finally:
    training.close()
  same = [run.fill(name, part, {t: r for t, r in readings.items() if within(t, span)}) for part, span in lost.items()]
  if not all(same):
    context.say(f'  {probe}: parts that are made again have other bytes; the table is made again')
  return True


def _starts(job: Job, study: Study, like: State) -> list[int]:
  """Checkpoints from which a replay may read: none for a probe that listens to every step or carries a state."""
  hyper = {name: jnp.float32(values[0]) for name, values in job.cell.hyper.items()}
  source = jax.tree.map(lambda x: x[0], job.members.source)
  probes = job.study.problem(hyper, source).probes
  if jax.tree.leaves(like.probes) or any(probes[name].update for name in study.schedule):
    return []
  return job.run.checkpoint_steps()


def stretches(moments: Sequence[int], steps: Sequence[int]) -> list[tuple[int | None, int]]:
  """(from, to) pairs that lead through all `moments`; each begins at one of `steps`, a checkpoint, or at the start (None)."""
  pairs: list[tuple[int | None, int]] = []
  for t in moments:
    nearest = max((step for step in steps if step <= t), default=None)
    if pairs and (nearest is None or nearest <= pairs[-1][1]):
      pairs[-1] = (pairs[-1][0], t)
    else:
      pairs.append((nearest, t))
  return pairs


def _saved(job: Job, passing: store.Pass, event: train.Event, now: bool) -> bool:
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


def _heard(job: Job, events, after: int | None = None) -> Iterator[train.Event]:
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


def _resumed(job: Job, programs, restored, like_frozen):
  return restored and (*restored, _frozen(job, programs, like_frozen))


def _frozen(job: Job, programs: train.Programs, like):
  """What was saved at the start, or drawn again where that is damaged."""
  frozen = job.run.read_start(like)
  if frozen is None:
    frozen = programs.start(programs.place(job.members), programs.data(job.members))[1]
  return frozen


def _keep(training: store.Pass, event: train.Event) -> None:
  """Adds the checkpoint of a milestone to those of the training; it is there before any later one of the replay."""
  training.save(event.step, event.state._replace(probes={}))
  training.wait()


def _compare(job: Job, training: store.Pass, event: train.Event) -> None:
  """Says where a replay came to other bits than the training."""
  now = event.state._replace(probes={})
  state = training.read(event.step, now) if event.step in job.run.checkpoint_steps() else None
  if state is None:
    return
  pairs = [(a[job.rows], parallel.local(b)) for a, b in zip(*map(jax.tree.leaves, (state, now)), strict=True)]
  same = not job.context.group.any(not all(np.array_equal(a, b, equal_nan=a.dtype.kind == 'f') for a, b in pairs))
  if not same:
    job.context.say('  the replay equals the training only to rounding: versions, device or number of devices have changed')


def _origin(job: Job, like: State) -> tuple | None:
  """(step, state, frozen) at which the training begins; None where it begins at step 0."""
  if job.cell.source is None or job.cell.source.take != 'state':
    return None
  return start_from.state(job.cell, job.context.out, like)


def _lost_milestones(cell: Cell, run: store.Run) -> list[int]:
  """Milestones without a checkpoint. A run that goes on with another one's training has none before its own first step."""
  first = cell.source.at + 1 if cell.source is not None and cell.source.take == 'state' else 0
  steps = run.checkpoint_steps()
  return [t for t in cell.milestones if t >= first and t not in steps]


def _read_at_checkpoints(cell: Cell, run: store.Run) -> Cell:
  """The cell with all probes read where checkpoints lie."""
  steps = tuple(sorted(run.checkpoint_steps()))
  at = {'log_points': 0, 'linear_points': 0, 'stride': 0, 'at': steps, 'end': False}
  return cell._replace(probes={name: {**entry, 'schedule': at} for name, entry in cell.probes.items()})


def diverged_members(state) -> list[int]:
  """Those of this process, counted in it, with a parameter that is no finite number."""
  leaves = [parallel.local(leaf) for leaf in jax.tree.leaves(state.variables['params'])]
  finite = [np.isfinite(leaf).reshape(len(leaf), math.prod(leaf.shape[1:])).all(1) for leaf in leaves]
  return [int(i) for i in np.flatnonzero(~np.all(finite, axis=0))]


def member_text(cell: Cell, i: int) -> str:
  """'seed 3, lr 0.1': the seed, the learning rate and whatever else members differ in."""
  differing = [name for name, values in cell.hyper.items() if name == 'lr' or len(set(values)) > 1]
  return ', '.join([f'seed {cell.seeds[i]}', *(f'{name} {cell.hyper[name][i]:g}' for name in differing)])
