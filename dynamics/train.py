"""Training: the programs of a study over all members, one short loop over them, and the call for scripts and notebooks."""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from dynamics import contracts, frames, parallel, progress, saves, trees
from dynamics.stages import Members, advance, draw, intervene, listen, measure, start
from dynamics.study import Study, check_common_data, due
from dynamics.types import Data, Frozen, Key, ProbeState, Reading, State, Variables

REVISION = 1  # of this file: raise it when a change of code changes the numbers of every run


class Event(NamedTuple):
  """What a sink sees, after each stretch of steps. Readings are there only at the times of a schedule."""

  step: int
  state: State
  readings: Mapping[str, Reading]  # of the members `parallel.rows`
  seconds: Mapping[str, float]  # since the last event, by 'train', interventions and probes
  frozen: Frozen


# ---- all members ------------------------------------------------------------------------------------------------


class Programs(NamedTuple):
  """The compiled programs of a study, over members and devices."""

  data: Callable[..., Data]  # of members; where they share it, of (members, data_seed), by default the study's
  draw: Callable[[Members, Data], tuple[State, Frozen]]
  listen: Callable[[State, Frozen, Members, Data], Mapping[str, ProbeState]]
  advance: Callable[[State, Frozen, Members, Data, int, int], State]
  intervene: Mapping[str, Callable[[State, Frozen, Members, Data, int], State]]
  measure: Mapping[str, Callable[[State, Frozen, Members, Data, int], tuple[Reading, ProbeState]]]
  shapes: Callable[[Members], tuple[State, Frozen]]  # of the start of all members; nothing is compiled
  place: Callable  # moves members, or (state, frozen), to where the programs take them from
  grid: Mesh

  def start(self, members: Members, data: Data) -> tuple[State, Frozen]:
    """The state at step 0."""
    state, frozen = self.draw(members, data)
    return state._replace(probes=self.listen(state, frozen, members, data)), frozen

  def after(self, draw: Callable[[Members, Data], tuple[State, Frozen]]) -> 'Programs':
    """The same programs, after another start."""
    return self._replace(draw=draw, shapes=_shapes(self.data, draw, self.listen))


def compile_programs(study: Study, grid: Mesh, *, layout: str = 'vmap', backend: str = 'shard_map') -> Programs:
  """Programs for any number of members that fill `grid` evenly. Nothing compiles before its first call."""
  rows = 0 if study.own_data else None

  def over(of_member, axes, donate=()):
    return parallel.spmd(parallel.over_members(of_member, axes, layout), grid, axes, donate, backend)

  def examples(member, key):
    return study.problem(member.hyper, member.source).task.draw(trees.named_key(key, 'data'))

  advanced = over(advance(study, grid.shape[parallel.DATA]), (0, 0, 0, rows, None, None), donate=(0,))
  at_step = (0, 0, 0, rows, None)
  data_of_members = over(lambda member: examples(member, member.keys), (0,))
  common = jax.jit(examples)

  def data(members, seed=study.data_seed):
    if study.own_data:
      return data_of_members(members)
    first = jax.tree.map(lambda x: x[0], members)
    return parallel.place(common(first, seed_key(seed)), grid, split=False)

  def numbered(program):
    return lambda state, frozen, members, data, *steps: program(state, frozen, members, data, *map(np.int32, steps))

  drawn = over(draw(study), (0, rows))
  listening = over(listen(study), (0, 0, 0, rows)) if study.schedule else lambda *args: {}
  return Programs(
    data=data,
    draw=drawn,
    listen=listening,
    advance=numbered(advanced),
    intervene={name: numbered(over(intervene(study, name), at_step)) for name in study.interventions},
    measure={name: numbered(over(measure(study, name), at_step)) for name in study.schedule},
    shapes=_shapes(data, drawn, listening),
    place=lambda tree: parallel.place(tree, grid, split=True),
    grid=grid,
  )


def _shapes(data: Callable, draw: Callable, listen: Callable) -> Callable[[Members], tuple[State, Frozen]]:
  def start(members, seen):
    state, frozen = draw(members, seen)
    return state._replace(probes=listen(state, frozen, members, seen)), frozen

  return lambda members: jax.eval_shape(start, members, jax.eval_shape(data, members))


def seed_key(seed: int) -> Key:
  return jax.random.key(seed, impl='threefry2x32')


def join(seeds, hyper: Mapping[str, object], source: Variables | None = None) -> Members:
  """Members from m seeds and hyper values; a single value holds for all of them. `source` has leaves (m, ...).

  Raises:
    ValueError: a hyper value whose length is not the number of seeds.
  """
  seeds = np.asarray(list(seeds), np.uint32)
  values = {name: np.asarray(value, np.float32) for name, value in hyper.items()}
  wrong = [f'{name} has {v.shape}' for name, v in values.items() if v.shape not in ((), seeds.shape)]
  if wrong:
    raise ValueError(f'hyper values must be single numbers or one a seed, {seeds.shape}: {", ".join(wrong)}')
  keys = jax.vmap(lambda s: jax.random.key(s, impl='threefry2x32'))(jnp.asarray(seeds))
  return Members(keys, {name: jnp.asarray(np.broadcast_to(v, seeds.shape)) for name, v in values.items()}, source)


# ---- the loop ---------------------------------------------------------------------------------------------------


def events(
  study: Study,
  members: Members,
  programs: Programs,
  *,
  resume: tuple[int, State, Frozen] | None = None,
  reread: bool = False,
  until: int | None = None,
  stops: Iterable[int] = (),
  stretch: float = 0.5,
) -> Iterator[Event]:
  """Trains, intervenes and probes, and yields after each stretch of steps; `stretch` is its length in seconds, about.

  Args:
    resume: (step, state, frozen) of an earlier event, after whose readings the run goes on.
    reread: take the readings of the step that is resumed from, too.
    until: the last step; by default the study's.
    stops: further steps at which an event is wanted.
    stretch: the stretches only decide how often the caller is heard; no bit of the result depends on them.
  """
  check_common_data(study, members.hyper, members.source)
  end = study.steps if until is None else until
  readings_at, changes_at = due(study.schedule, study.steps), due(study.interventions, study.steps)
  members = programs.place(members)
  data = programs.data(members)
  lap = progress.stopwatch()
  if resume is None:
    step, (state, frozen) = 0, programs.start(members, data)
  else:
    step, (state, frozen) = resume[0], programs.place(resume[1:])
  begun = step + (resume is not None)  # the first step whose interventions are still to come
  unread = begun - (resume is not None and reread)  # and whose readings are
  jax.block_until_ready((data, state))
  if resume is None:
    contracts.run(study, members, data, state, frozen)
  seconds = {'start': lap()}
  length = 1  # steps a stretch, doubled or halved towards `stretch` seconds
  for target in sorted({t for t in (*readings_at, *changes_at, *stops) if unread <= t <= end} | {end}):
    while True:
      last = min(target, step + length)
      if all_stopped(state):
        step = last = target
      if last > step:
        state = jax.block_until_ready(programs.advance(state, frozen, members, data, step, last))
        seconds['train'] = parallel.agreed(lap())
        if last - step == length or seconds['train'] > stretch:
          factor = 0.5 if seconds['train'] > stretch else 2 if seconds['train'] < stretch / 2 else 1
          length = max(1, int(length * factor))
        step = last
      for name in changes_at.get(step, ()) if step >= begun else ():
        state = jax.block_until_ready(programs.intervene[name](state, frozen, members, data, step))
        seconds[name] = lap()
      readings = {}
      for name in readings_at.get(step, ()) if step >= unread else ():
        reading, probe = programs.measure[name](state, frozen, members, data, step)
        state = state._replace(probes={**state.probes, name: probe})
        readings[name] = jax.tree.map(parallel.local, reading)  # cheaper than device_get for a few small leaves
        seconds[name] = lap()
      yield Event(step, state, readings, seconds, frozen)
      seconds = {}
      lap()
      if step >= target:
        break


def all_stopped(state: State) -> bool:
  """Whether the stopping rule has held for every member, so that no further step would change anything."""
  return not isinstance(state.stopped, tuple) and bool(np.all(parallel.whole(state.stopped) >= 0))


class Result(NamedTuple):
  """A run in memory. Paths join nested names of a reading with '/'."""

  tables: Mapping[str, 'pandas.DataFrame']  # noqa: F821  # probe -> a row a (member, step), see `frames.tidy`
  arrays: Mapping[str, 'xarray.Dataset']  # noqa: F821  # probe -> dimensions (member, step, ...), see `frames.arrays`
  state: State
  frozen: Frozen


def run(
  study: Study,
  seeds: Iterable[int],
  hyper: Mapping[str, object],
  *,
  source: Variables | None = None,
  layout: str = 'vmap',
  grid: Mesh | None = None,
  save: str | os.PathLike | None = None,
  save_every: float = 60.0,
  quiet: bool = False,
) -> Result:
  """A whole study in memory: the call for scripts and notebooks.

  Args:
    study: what to train and to probe.
    seeds: m integers.
    hyper: name -> one number, or one number a seed.
    source: another run's variables, leaves (m, ...).
    layout: 'vmap' or 'map', see `dynamics.parallel.over_members`.
    grid: a mesh from `dynamics.parallel.mesh`; by default all devices that the members fill evenly.
    save: a folder for this run alone. The same call goes on where it was stopped, to the same bits.
    save_every: seconds between saves; the end is saved, too.
    quiet: show nothing; else step, rate and time left are told on standard error, from two seconds on.

  Raises:
    ValueError: `save` holds another study, data, seeds or hyper values, or is damaged; this is one of several processes.
  """
  parallel.check_alone('train.run')
  seeds = [int(seed) for seed in seeds]
  members = join(seeds, hyper, source)
  grid = parallel.mesh(len(seeds)) if grid is None else grid
  programs = compile_programs(study, grid, layout=layout)
  log, resume = frames.Log(frames.settings(seeds, hyper), {}, {}), None
  if save is not None:
    about = _about(study, seeds, members, programs)
    resume = saves.read(save, about, programs.shapes(members), log)
  since, first = time.monotonic(), -1 if resume is None else resume[0]
  with progress.reporting(study.steps, len(seeds), quiet) as show:
    for event in events(study, members, programs, resume=resume):
      show(event)
      for probe, reading in event.readings.items():
        log.note(probe, event.step, trees.by_path(reading))
      if save is not None and event.step > first and (event.step == study.steps or time.monotonic() - since >= save_every):
        saves.write(save, about, event, log)
        since = time.monotonic()
  return Result(log.tables(), log.arrays(), event.state, event.frozen)


def _about(study: Study, seeds, members: Members, programs: Programs) -> Mapping[str, str]:
  """What tells this run from any other."""
  data = programs.data(members)
  first = lambda tree: jax.tree.map(lambda x: x[0], tree)
  member, seen = first(members), first(data) if study.own_data else data
  state, frozen = jax.eval_shape(start(study), member, seen)
  at = (state, frozen, member, seen, jnp.int32(0))
  traced = [(start(study), (member, seen)), (advance(study), (*at, jnp.int32(0)))]
  traced += [(intervene(study, name), at) for name in study.interventions]
  traced += [(measure(study, name), at) for name in study.schedule]
  times = (study.steps, dict(study.schedule), dict(study.interventions))
  parts = {'times': times, 'data': data, 'seeds': seeds, 'hyper values': members.hyper, 'source': members.source}
  return saves.fingerprint(traced, parts)
