"""The work on one cell, whose source run is done: its training, then the tables that are missing."""

import contextlib
import math
from collections.abc import Mapping

import jax
import numpy as np

from dynamics import parallel, plan, progress, train
from dynamics.plan import Cell
from dynamics.schema import ConfigError
from experiments import markers, record, start_from, store
from experiments.build import build
from experiments.job import Context, Job, Outcome, heard, member_text, origin_of, resumed, saved, shared
from experiments.replay import fill, lost_milestones, replay
from experiments.resolve import needs_x64


def run_cell(cell: Cell, title: str, context: Context) -> Outcome:
  """Makes what is missing of a cell, up to its end or to the next checkpoint after a signal.

  Raises:
    Held: another process works on it.
  """
  name = plan.identity(cell)
  folder, group = context.out / name, context.group
  is_done = lambda: group.agreed(lambda: markers.is_done(folder))
  diverged = lambda: len(group.agreed(lambda: markers.read_done(folder)['diverged']))
  link = context.mirror and context.mirror.run(folder, cell.milestones)
  if context.at_checkpoints and not is_done():
    raise ConfigError(f'--at=checkpoints reads finished runs, and {folder} is not one: leave it out, and train first.')
  context.screen.show('loading')
  context.stop.patient = False
  look = store.Run(folder, cell.milestones, context.say, group)  # no lock: what is done may lie where nothing can be written
  if context.at_checkpoints:
    cell = _read_at_checkpoints(cell, look)
  names = {probe: plan.table_identity(cell, probe) for probe in cell.probes}
  if _is_whole(cell, look, names):
    done = group.agreed(lambda: markers.read_done(folder))
    context.say(f'{title} {name}: done before ({cell.members} members, {done["step"]} steps)')
    if link:
      link.finish()
    return Outcome(True, len(done['diverged']), made=False)
  mirrored = link.working(context.stop) if link else contextlib.nullcontext()
  with jax.enable_x64(needs_x64(cell)), store.opened(folder, cell.milestones, context.say, group) as run, mirrored:
    if _is_whole(cell, run, names):  # between the look and the lock
      context.say(f'{title} {name}: done by another process')
      return Outcome(True, diverged(), made=False)
    study = shared(context, plan.alike(cell), lambda: build(cell))._replace(data_seed=cell.config['data_seed'])
    members = train.join(cell.seeds, cell.hyper, start_from.variables(cell, context.out))
    job = Job(cell, study, members, parallel.mesh(cell.members, cell.config['data_parallel']), run, f'{title} {name}', context)
    group.agreed(lambda: record.note(folder, cell, record.surroundings(job.grid), context.command, context.say))
    if not is_done() and not _train(job, names):
      return Outcome(False, 0)
    return Outcome(True, diverged()) if _complete(job, names) else Outcome(False, 0)


def _complete(job: Job, names: Mapping[str, str]) -> bool:
  """Makes what a finished training lacks; False where a signal came first."""
  run = job.run
  for probe, lost in run.holes(names).items():
    if not fill(job, probe, names[probe], lost):
      return False
  missing = run.missing(names)
  if not missing and not lost_milestones(job.cell, run):
    return True
  return replay(job, missing) and _complete(job, names)  # a replay that went on over a damaged part leaves it


def _is_whole(cell: Cell, run: store.Run, names: Mapping[str, str]) -> bool:
  """Whether nothing of a cell is missing."""

  def look() -> bool:
    there = markers.is_done(run.folder) and record.is_there(run.folder)
    return there and not run.missing(names) and not lost_milestones(cell, run)

  return run.group.agreed(look)


def _train(job: Job, names: Mapping[str, str]) -> bool:
  """Trains to the end, with the readings of the tables that are under way; False where a signal came first."""
  run, context = job.run, job.context
  newest = run.training({}).newest()
  under_way = run.missing(names) if newest is None else {p: n for p, n in names.items() if newest[1].get(p) == n}
  study = job.study._replace(schedule={probe: job.study.schedule[probe] for probe in under_way})
  count = job.to_compile(study)
  compiling = f'compiling {count} programs' if count > 1 else 'compiling the start, all else is there' if count else ''
  programs, passing = job.programs(study), run.training(under_way)
  try:
    like_state, like_frozen = programs.shapes(job.members)
    resume = resumed(job, programs, passing.restore(like_state), like_frozen) or origin_of(job, like_state)
    begun = f'going on from step {resume[0]}' if resume else compiling or 'with the programs of a cell before'
    context.say(f'{job.title}: {job.cell.members} members x {study.steps} steps; {begun}')
    context.screen.show(compiling or 'starting')
    spent, event = {}, None
    training = train.events(study, job.members, programs, resume=resume, stops=job.cell.milestones)
    for event in heard(job, training, resume and resume[0]):
      run.save_start(event.frozen)
      passing.append(event.step, event.readings, job.rows)
      for part, seconds in event.seconds.items():
        spent[part] = spent.get(part, 0.0) + seconds
      if event.step < study.steps and not saved(job, passing, event, event.step in job.cell.milestones):
        return False
    context.screen.show('saving')
    passing.finish(event.step, event.state)
  finally:
    passing.close()
  diverged = job.rows[diverged_members(event.state)].tolist()
  lost = sorted(i for members in context.group.gathered(diverged) for i in members)
  run.finish(event.step, {'diverged': lost, 'seconds': {k: round(v, 3) for k, v in spent.items()}})
  if lost:
    which = '; '.join(f'{i} ({member_text(job.cell, i)})' for i in lost[:5]) + ('; ...' if len(lost) > 5 else '')
    context.say(f'  diverged: {len(lost)} of {job.cell.members} members: {which}; their readings are NaN from there on')
  context.say(f'  done in {progress.duration(sum(spent.values()))}: {run.folder}')
  return True


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
