"""What a finished run lacks is made again, to the same bits: tables, damaged parts of them, and milestones."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dynamics import parallel, train
from dynamics.plan import Cell
from dynamics.study import Study, due
from dynamics.types import State
from experiments import store
from experiments.job import Job, frozen, heard, origin_of, resumed, saved


def replay(job: Job, missing: Mapping[str, str]) -> bool:
  """Makes tables and milestones that a finished run lacks, to the same bits; False where a signal came first."""
  run, context = job.run, job.context
  lost = lost_milestones(job.cell, run)
  study = job.study._replace(schedule={probe: job.study.schedule[probe] for probe in missing})
  programs = job.programs(study)
  training, passing = run.archive(), run.replay(missing)
  try:
    like_state, like_frozen = programs.shapes(job.members)
    origin = origin_of(job, like_state)
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
    resume = resumed(job, programs, restored, like_frozen) or origin
    for begin, last in parts:
      reread = begin is not None and begin > step
      if reread:
        state = training.read(begin, like_state)
        if state is None:  # and now lies in damaged/
          return replay(job, missing)
        resume = (begin, state, frozen(job, programs, like_frozen))
      replayed = train.events(study, job.members, programs, resume=resume, reread=reread, until=last, stops=lost)
      for event in heard(job, replayed):
        passing.append(event.step, event.readings, job.rows)
        if event.step in lost:
          _keep(training, event)
        if event.step < moments[-1] and not saved(job, passing, event, False):
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


def fill(job: Job, probe: str, name: str, lost: Mapping[str, tuple[int, int]]) -> bool:
  """Makes the lost parts of a table again, from the checkpoints before them; False where a signal came first.

  A part that then has other bytes, by other versions or devices, fills no hole: the whole table is made again.
  """
  run, context = job.run, job.context
  study = job.study._replace(schedule={probe: job.study.schedule[probe]})
  programs, training = job.programs(study), run.archive()
  within = lambda t, span: span[0] <= t <= span[1]
  try:
    like_state, like_frozen = programs.shapes(job.members)
    moments = [t for t in due(study.schedule, study.steps) if any(within(t, span) for span in lost.values())]
    parts = stretches(moments, _starts(job, study, like_state))
    count = sum(last - (begin or 0) for begin, last in parts)
    context.say(f'{job.title}: {len(lost)} damaged parts of {probe} are made again; {count} steps again')
    readings: dict[int, Any] = {}
    for begin, last in parts:
      resume = origin_of(job, like_state)
      if begin is not None:
        state = training.read(begin, like_state)
        if state is None:  # and now lies in damaged/
          return fill(job, probe, name, lost)
        resume = (begin, state, frozen(job, programs, like_frozen))
      replayed = train.events(study, job.members, programs, resume=resume, reread=begin is not None, until=last)
      for event in heard(job, replayed):
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


def lost_milestones(cell: Cell, run: store.Run) -> list[int]:
  """Milestones without a checkpoint. A run that goes on with another one's training has none before its own first step."""
  first = cell.source.at + 1 if cell.source is not None and cell.source.take == 'state' else 0
  steps = run.checkpoint_steps()
  return [t for t in cell.milestones if t >= first and t not in steps]
