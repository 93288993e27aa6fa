"""Training: three pure functions of one member (`start`, `advance`, `measure`) and one short loop.

The clock stays outside the member axis and the bounds of the inner loop are traced, so a run compiles one program each
for its data, its start, its steps and every probe: however many members, seeds and probe times it has.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh

from dynamics import parallel, trees
from dynamics.linalg import products
from dynamics.study import Study, due
from dynamics.types import Array, Batch, Data, Hyper, Key, Memory, Reading, Signal, Tree, Variables, View


class State(NamedTuple):
  """All of one member that changes in training: what a checkpoint holds. Under members every leaf has a leading m."""

  variables: Variables
  opt_state: Tree
  anchor: Variables
  memory: Mapping[str, Memory]


class Members(NamedTuple):
  """The member axis: keys (m,), and hyper values (m,) float32 under their names."""

  keys: Key
  hyper: Hyper


class Event(NamedTuple):
  """What a sink sees, after each stretch of steps. Readings are there only at the times of a schedule."""

  step: int
  state: State
  readings: Mapping[str, Reading]
  spent: Mapping[str, float]  # seconds since the last event, by 'train' and by probe


# ---- one member -------------------------------------------------------------------------------------------------


def start(study: Study) -> Callable[[Key, Hyper, Data], State]:
  """The state at step 0."""

  def one(key, hyper, data):
    init = study.problem.init if study.problem.init_from is None else study.problem.init_from(data)
    variables = init(trees.named_key(key, 'init'), hyper)
    opt_state = study.optimizer(hyper).init(variables['params'])
    anchor = jax.tree.map(jnp.copy, variables)
    # Behind the barrier, what a probe prepares cannot change the arithmetic of the start itself.
    view = jax.lax.optimization_barrier(View(jnp.int32(0), variables, anchor, opt_state, hyper, data))
    return State(variables, opt_state, anchor, {name: probe.init(view) for name, probe in study.probes.items()})

  return one


def advance(study: Study, shards: int = 1) -> Callable[[State, Key, Hyper, Data, Array, Array], State]:
  """Steps `first` to `last` (both traced) of one member; each device of 'data' takes one of `shards` of the batch."""

  def gradient(variables, batch, hyper):
    def loss(params):
      return study.problem.loss({**variables, 'params': params}, batch, hyper)

    (value, aux), grads = jax.value_and_grad(loss, has_aux=True)(variables['params'])
    if shards > 1:
      value, grads, state = jax.lax.pmean((value, grads, aux.state), parallel.DATA)
      return value, grads, state
    return value, grads, aux.state

  def hessian(variables, batch, hyper):
    """params -> (v -> H v) for optimisers that ask: of the loss of the whole batch, whichever device holds it."""

    def at(params):
      share = products.hessian(lambda p: study.problem.loss({**variables, 'params': p}, batch, hyper)[0], params)
      return (lambda v: jax.lax.pmean(share(v), parallel.DATA)) if shards > 1 else share

    return at

  def stop(t, value, before, after):
    """Where a loss level is set, a member that has reached it stays as it is."""
    if 'clock' not in before.variables:
      return after
    clock = before.variables['clock']
    stopped = jnp.where((clock['stopped'] < 0) & (value <= clock['level']), t, clock['stopped'])
    kept = jax.tree.map(lambda old, new: jnp.where(stopped >= 0, old, new), before, after)
    return kept._replace(variables={**kept.variables, 'clock': {**clock, 'stopped': stopped}})

  def one(state, key, hyper, data, first, last):
    optimizer, draws = optax.with_extra_args_support(study.optimizer(hyper)), trees.named_key(key, 'batch')

    def step(t, state):
      batch = study.problem.batch(draws, data, t)
      batch = _shard(batch, shards) if shards > 1 else batch
      value, grads, mutated = gradient(state.variables, batch, hyper)
      params = state.variables['params']
      with jax.numpy_dtype_promotion('standard'):  # optax raises a float to an integer power
        curvature = hessian(state.variables, batch, hyper)
        updates, opt_state = optimizer.update(grads, state.opt_state, params, hessian=curvature)
      # Where a probe listens, the barrier keeps its arithmetic out of the step's own: the weights keep their bits.
      value, grads, updates = jax.lax.optimization_barrier((value, grads, updates))
      signal = Signal(value, grads, updates)
      memory = {
        name: study.probes[name].update(kept, signal) if study.probes[name].update else kept
        for name, kept in state.memory.items()
      }
      variables = {**state.variables, **mutated, 'params': optax.apply_updates(params, updates)}
      return stop(t, value, state, State(variables, opt_state, state.anchor, memory))

    return jax.lax.fori_loop(first, last, step, state)

  return one


def measure(study: Study, name: str) -> Callable[[State, Key, Hyper, Data, Array], tuple[Reading, Memory]]:
  """One reading of one probe, at full float32 precision on every device."""

  def one(state, key, hyper, data, step):
    view = View(step, state.variables, state.anchor, state.opt_state, hyper, data)
    key = jax.random.fold_in(trees.named_key(key, f'probe/{name}'), step)
    with jax.default_matmul_precision('float32'):
      return study.probes[name].measure(view, state.memory[name], key)

  return one


def _shard(batch: Batch, shards: int) -> Batch:
  rows = batch.y.shape[0]
  if rows % shards:
    raise ValueError(f'a batch of {rows} examples cannot be split evenly over {shards} devices')
  take = lambda x: jax.lax.dynamic_slice_in_dim(x, jax.lax.axis_index(parallel.DATA) * (rows // shards), rows // shards)
  return jax.tree.map(take, batch)


# ---- all members ------------------------------------------------------------------------------------------------


class Programs(NamedTuple):
  """The compiled programs of a study, over members and devices."""

  data: Callable[[Members], Data]
  start: Callable[[Members, Data], State]
  advance: Callable[[State, Members, Data, int, int], State]
  measure: Mapping[str, Callable[[State, Members, Data, int], tuple[Reading, Memory]]]
  grid: Mesh


def compile_programs(study: Study, grid: Mesh, *, layout: str = 'vmap', backend: str = 'shard_map') -> Programs:
  """Programs for any number of members that fill `grid` evenly. Nothing compiles before its first call."""
  rows = 0 if study.own_data else None

  def over(one, axes, donate=()):
    return parallel.spmd(parallel.over_members(one, axes, layout), grid, axes, donate, backend)

  started = over(start(study), (0, 0, rows))
  advanced = over(advance(study, grid.shape[parallel.DATA]), (0, 0, 0, rows, None, None), donate=(0,))
  measured = {name: over(measure(study, name), (0, 0, 0, rows, None)) for name in study.probes}
  own = over(lambda key, hyper: study.data(trees.named_key(key, 'data'), hyper), (0, 0))
  common = jax.jit(lambda key: study.data(trees.named_key(key, 'data'), {}))

  def data(members):
    if study.own_data:
      return own(*members)
    return parallel.place(common(seed_key(study.data_seed)), grid, split=False)

  return Programs(
    data=data,
    start=lambda members, data: started(*members, data),
    advance=lambda state, members, data, first, last: advanced(state, *members, data, np.int32(first), np.int32(last)),
    measure={
      name: lambda state, members, data, step, read=read: read(state, *members, data, np.int32(step))
      for name, read in measured.items()
    },
    grid=grid,
  )


def seed_key(seed: int) -> Key:
  return jax.random.key(seed, impl='threefry2x32')


def join(seeds, hyper: Mapping[str, object]) -> Members:
  """Members from m seeds and hyper values; a single value holds for all of them.

  Raises:
    ValueError: a hyper value whose length is not the number of seeds.
  """
  seeds = np.asarray(list(seeds), np.uint32)
  values = {name: np.asarray(value, np.float32) for name, value in hyper.items()}
  wrong = [f'{name} has {v.shape}' for name, v in values.items() if v.shape not in ((), seeds.shape)]
  if wrong:
    raise ValueError(f'hyper values must be single numbers or one a seed, {seeds.shape}: {", ".join(wrong)}')
  keys = jax.vmap(lambda s: jax.random.key(s, impl='threefry2x32'))(jnp.asarray(seeds))
  return Members(keys, {name: jnp.asarray(np.broadcast_to(v, seeds.shape)) for name, v in values.items()})


# ---- the loop ---------------------------------------------------------------------------------------------------


def events(
  study: Study,
  members: Members,
  programs: Programs,
  *,
  resume: tuple[int, State] | None = None,
  stops: Iterable[int] = (),
  stretch: float = 0.5,
) -> Iterator[Event]:
  """Trains and probes, and yields after each stretch of steps; `stretch` is its length in seconds, about.

  Args:
    resume: (step, state) of an earlier event, after whose readings the run goes on.
    stops: further steps at which an event is wanted.
    stretch: the stretches only decide how often the caller is heard; no bit of the result depends on them.
  """
  moments = due(study)
  members = parallel.place(members, programs.grid, split=True)
  data = programs.data(members)
  clock = _Clock()
  if resume is None:
    step, state = 0, programs.start(members, data)
  else:
    step, state = resume[0], parallel.place(resume[1], programs.grid, split=True)
    moments = {t: names for t, names in moments.items() if t > step}
  jax.block_until_ready((data, state))
  spent = {'start': clock.lap()}
  length = 1  # steps a stretch, doubled or halved towards `stretch` seconds
  for target in sorted({*moments, *(t for t in stops if t > step or resume is None), study.steps}):
    while True:
      last = min(target, step + length)
      if all_stopped(state):
        step = last = target
      if last > step:
        state = jax.block_until_ready(programs.advance(state, members, data, step, last))
        spent['train'] = clock.lap()
        if last - step == length or spent['train'] > stretch:
          length = max(1, length // 2 if spent['train'] > stretch else length * 2 if spent['train'] < stretch / 2 else length)
        step = last
      readings = {}
      for name in moments.get(step, ()):
        reading, memory = programs.measure[name](state, members, data, step)
        state = state._replace(memory={**state.memory, name: memory})
        readings[name] = jax.tree.map(np.asarray, reading)  # cheaper than device_get for a few small leaves
        spent[name] = clock.lap()
      yield Event(step, state, readings, spent)
      spent = {}
      clock.lap()
      if step >= target:
        break


def all_stopped(state: State) -> bool:
  """Whether every member has reached its loss level and no further step would change anything."""
  return 'clock' in state.variables and bool(np.all(np.asarray(state.variables['clock']['stopped']) >= 0))


class Result(NamedTuple):
  """tables[probe][reading]: arrays (t, m, ...); tables[probe]['step']: (t,). Paths join nested names with '/'."""

  tables: Mapping[str, Mapping[str, np.ndarray]]
  state: State


def run(study: Study, seeds, hyper: Mapping[str, object], *, layout: str = 'vmap', grid: Mesh | None = None) -> Result:
  """A whole study in memory: the call for scripts and notebooks.

  Args:
    study: what to train and to probe.
    seeds: m integers.
    hyper: name -> one number, or one number a seed.
    layout: 'vmap' or 'map', see `dynamics.parallel.over_members`.
    grid: a mesh from `dynamics.parallel.mesh`; by default all devices that the members fill evenly.
  """
  members = join(seeds, hyper)
  grid = parallel.mesh(len(members.keys)) if grid is None else grid
  rows = {name: [] for name in study.probes}
  for event in events(study, members, compile_programs(study, grid, layout=layout)):
    for name, reading in event.readings.items():
      rows[name].append({'step': event.step, **trees.by_path(reading)})
  tables = {name: {k: np.stack([row[k] for row in some]) for k in some[0]} for name, some in rows.items() if some}
  return Result(tables, event.state)


class _Clock:
  """Seconds between laps."""

  def __init__(self):
    self.last = time.perf_counter()

  def lap(self) -> float:
    now = time.perf_counter()
    self.last, passed = now, now - self.last
    return passed
