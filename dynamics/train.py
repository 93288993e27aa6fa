"""Training: four pure functions of one member (`start`, `advance`, `intervene`, `measure`) and one short loop.

The step number stays outside the member axis and the bounds of the inner loop are traced, so a run compiles one program each
for its data, its start, its steps, and every intervention and probe: however many members, seeds and probe times it has.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh

from dynamics import contracts, frames, parallel, progress, saves, trees
from dynamics.optim import arguments
from dynamics.study import Study, check_common_data, due
from dynamics.types import Array, Data, Frozen, Hyper, Key, ProbeState, Problem, Reading, State, StepInfo, Variables, View

REVISION = 1  # of this file: raise it when a change of code changes the numbers of every run


class Members(NamedTuple):
  """The member axis: keys (m,), hyper values (m,) float32 under their names, and variables (m, ...) of another run or None."""

  keys: Key
  hyper: Hyper
  source: Variables | None = None


class Event(NamedTuple):
  """What a sink sees, after each stretch of steps. Readings are there only at the times of a schedule."""

  step: int
  state: State
  readings: Mapping[str, Reading]  # of the members `parallel.rows`
  seconds: Mapping[str, float]  # since the last event, by 'train', interventions and probes
  frozen: Frozen


# ---- one member -------------------------------------------------------------------------------------------------


def start(study: Study) -> Callable[[Members, Data], tuple[State, Frozen]]:
  """The state at step 0.

  Raises:
    ValueError: while it is traced: a schedule of what the problem does not have; what `dynamics.contracts` refuses.
  """

  def of_member(member, data):
    problem, data = _problem(study, member, data)
    _check_names('schedule', study.schedule, problem.probes)
    _check_names('interventions', study.interventions, problem.interventions)
    variables = dict(problem.model.init(trees.named_key(member.keys, 'init'), data))
    contracts.parameters(variables.get('params', {}))
    drawn = variables.pop('frozen', {})
    frozen = Frozen(jax.tree.map(jnp.copy, variables), drawn)
    opt_state = problem.optimizer.init(variables['params'])
    stopped = () if problem.stop is None else jnp.int32(-1)
    state = State(variables, opt_state, stopped, {})
    # Behind the barrier, what a probe prepares cannot change the arithmetic of the start itself.
    state, frozen, data = jax.lax.optimization_barrier((state, frozen, data))
    view = _view(problem, state, frozen, data, jnp.int32(0))
    return state._replace(probes={name: problem.probes[name].init(view) for name in study.schedule}), frozen

  return of_member


def advance(study: Study, shards: int = 1) -> Callable[[State, Frozen, Members, Data, Array, Array], State]:
  """Steps `first` to `last` (both traced) of one member; each device of 'data' takes one of `shards` of the batch."""

  def mean(tree):
    return jax.lax.pmean(tree, parallel.DATA) if shards > 1 else tree

  def of_member(state, frozen, member, data, first, last):
    problem, data = _problem(study, member, data)
    draws, noise = (trees.named_key(member.keys, name) for name in ('batch', 'loss'))
    takes = arguments.accepted(problem.optimizer.update)

    def step(t, state):
      batch = problem.batch(draws, data, t)
      contracts.batch(batch, 'batch')
      batch = parallel.shard(batch, shards) if shards > 1 else batch
      key = jax.random.fold_in(noise, t)
      key = jax.random.fold_in(key, jax.lax.axis_index(parallel.DATA)) if shards > 1 else key
      variables = frozen.joined(state.variables)

      def loss(params):
        return contracts.objective(problem.objective({**variables, 'params': params}, batch, key))

      params = state.variables['params']
      (value, aux), grads = jax.value_and_grad(loss, has_aux=True)(params)
      value, grads, mutated = mean((value, grads, aux.mutated))
      offered = arguments.offered(loss, value, grads, mean)
      with jax.numpy_dtype_promotion('standard'):  # optax raises a float to an integer power
        updates, opt_state = problem.optimizer.update(grads, state.opt_state, params, **takes(offered))
      # Where a probe listens, the barrier keeps its arithmetic out of the step's own: the weights keep their bits.
      value, grads, updates = jax.lax.optimization_barrier((value, grads, updates))
      info = StepInfo(value, grads, updates, leaf_rates(problem, t))
      probes = {
        name: problem.probes[name].update(probe, info) if problem.probes[name].update else probe
        for name, probe in state.probes.items()
      }
      trained = {**state.variables, **mutated, 'params': optax.apply_updates(params, updates)}
      return _stopped(problem, t, value, state, State(trained, opt_state, state.stopped, probes))

    return jax.lax.fori_loop(first, last, step, state)

  return of_member


def intervene(study: Study, name: str) -> Callable[[State, Frozen, Members, Data, Array], State]:
  """One intervention on one member."""

  def of_member(state, frozen, member, data, step):
    problem, data = _problem(study, member, data)
    key = jax.random.fold_in(trees.named_key(member.keys, f'intervention/{name}'), step)
    variables, opt_state = problem.interventions[name].apply(_view(problem, state, frozen, data, step), key)
    changed = {collection: variables[collection] for collection in state.variables}
    return _held(state, state._replace(variables=changed, opt_state=opt_state))

  return of_member


def measure(study: Study, name: str) -> Callable[[State, Frozen, Members, Data, Array], tuple[Reading, ProbeState]]:
  """One reading of one probe, at full float32 precision on every device."""

  def of_member(state, frozen, member, data, step):
    problem, data = _problem(study, member, data)
    key = jax.random.fold_in(trees.named_key(member.keys, f'probe/{name}'), step)
    with jax.default_matmul_precision('float32'):
      return problem.probes[name].measure(_view(problem, state, frozen, data, step), state.probes[name], key)

  return of_member


def leaf_rates(problem: Problem, t: Array):
  """The learning rate of step t for every leaf, like params; None where the optimizer names none."""
  if problem.optimizer.learning_rate is None:
    return None
  rate = problem.optimizer.learning_rate(t)
  if problem.model.rates is None:
    return rate
  return jax.tree.map(lambda factor: rate * jnp.asarray(factor, rate.dtype), problem.model.rates(problem.optimizer.normalised))


def _problem(study: Study, member: Members, data: Data) -> tuple[Problem, Data]:
  contracts.data(data)
  return study.problem(member.hyper, member.source), data._replace(source=member.source)


def _check_names(field: str, names: Iterable[str], known: Mapping) -> None:
  for name in names:
    if name not in known:
      raise ValueError(f'study.{field} names {name!r}; there are {", ".join(known) or "none"}')


def _view(problem: Problem, state: State, frozen: Frozen, data: Data, step: Array) -> View:
  rate = problem.optimizer.learning_rate
  known = None if rate is None else rate(step)
  return View(
    step, frozen.joined(state.variables), frozen.joined(frozen.initial), state.opt_state, state.stopped, known, data, problem
  )


def _stopped(problem: Problem, t: Array, value: Array, before: State, after: State) -> State:
  """Where there is a stopping rule, a member for which it has held stays as it is."""
  if problem.stop is None:
    return after
  stopped = jnp.where((before.stopped < 0) & problem.stop(value), t, before.stopped)
  return _held(before._replace(stopped=stopped), after._replace(stopped=stopped))


def _held(before: State, after: State) -> State:
  """`before` for a member that stands still, else `after`."""
  if isinstance(before.stopped, tuple):
    return after
  return jax.tree.map(lambda old, new: jnp.where(before.stopped >= 0, old, new), before, after)


# ---- all members ------------------------------------------------------------------------------------------------


class Programs(NamedTuple):
  """The compiled programs of a study, over members and devices."""

  data: Callable[..., Data]  # of members; where they share it, of (members, data_seed), by default the study's
  start: Callable[[Members, Data], tuple[State, Frozen]]
  advance: Callable[[State, Frozen, Members, Data, int, int], State]
  intervene: Mapping[str, Callable[[State, Frozen, Members, Data, int], State]]
  measure: Mapping[str, Callable[[State, Frozen, Members, Data, int], tuple[Reading, ProbeState]]]
  shapes: Callable[[Members], tuple[State, Frozen]]  # of all members, from a trace of `start`
  place: Callable  # moves members, or (state, frozen), to where the programs take them from
  grid: Mesh


def compile_programs(study: Study, grid: Mesh, *, layout: str = 'vmap', backend: str = 'shard_map') -> Programs:
  """Programs for any number of members that fill `grid` evenly. Nothing compiles before its first call."""
  rows = 0 if study.own_data else None

  def over(of_member, axes, donate=()):
    return parallel.spmd(parallel.over_members(of_member, axes, layout), grid, axes, donate, backend)

  def draw(member, key):
    return study.problem(member.hyper, member.source).task.draw(trees.named_key(key, 'data'))

  started = over(start(study), (0, rows))
  advanced = over(advance(study, grid.shape[parallel.DATA]), (0, 0, 0, rows, None, None), donate=(0,))
  at_step = (0, 0, 0, rows, None)
  data_of_members = over(lambda member: draw(member, member.keys), (0,))
  common = jax.jit(draw)

  def data(members, seed=study.data_seed):
    if study.own_data:
      return data_of_members(members)
    first = jax.tree.map(lambda x: x[0], members)
    return parallel.place(common(first, seed_key(seed)), grid, split=False)

  def numbered(program):
    return lambda state, frozen, members, data, *steps: program(state, frozen, members, data, *map(np.int32, steps))

  return Programs(
    data=data,
    start=started,
    advance=numbered(advanced),
    intervene={name: numbered(over(intervene(study, name), at_step)) for name in study.interventions},
    measure={name: numbered(over(measure(study, name), at_step)) for name in study.schedule},
    shapes=lambda members: jax.eval_shape(started, members, jax.eval_shape(data, members)),
    place=lambda tree: parallel.place(tree, grid, split=True),
    grid=grid,
  )


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
