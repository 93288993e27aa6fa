"""What happens to one member: pure functions, `draw`, `listen`, `advance`, `intervene` and `measure`, that a study gives.

The step number stays outside the member axis and the bounds of the inner loop are traced, so a run compiles one program each
for its data, its start, what probes keep, its steps, and every intervention and probe: however many members, seeds and probe
times it has.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from dynamics import contracts, parallel, trees
from dynamics.optim import arguments
from dynamics.study import Study
from dynamics.types import Array, Data, Frozen, Hyper, Key, ProbeState, Problem, Reading, State, StepInfo, Variables, View


class Members(NamedTuple):
  """The member axis: keys (m,), hyper values (m,) float32 under their names, and variables (m, ...) of another run or None."""

  keys: Key
  hyper: Hyper
  source: Variables | None = None


def draw(study: Study) -> Callable[[Members, Data], tuple[State, Frozen]]:
  """The state at step 0, before any probe listens.

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
    return State(variables, opt_state, stopped, {}), frozen

  return of_member


def listen(study: Study) -> Callable[[State, Frozen, Members, Data], Mapping[str, ProbeState]]:
  """What the probes of the schedule keep from step 0 on. Like readings, it is no part of the arithmetic of the start."""

  def of_member(state, frozen, member, data):
    problem, data = _problem(study, member, data)
    view = _view(problem, state, frozen, data, jnp.int32(0))
    return {name: problem.probes[name].init(view) for name in study.schedule}

  return of_member


def start(study: Study) -> Callable[[Members, Data], tuple[State, Frozen]]:
  """`draw` and `listen`: the whole state at step 0."""

  def of_member(member, data):
    state, frozen, data = jax.lax.optimization_barrier((*draw(study)(member, data), data))
    return state._replace(probes=listen(study)(state, frozen, member, data)), frozen

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
