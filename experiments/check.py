"""What is refused before anything is compiled or written: components that do not fit together."""

import contextlib
import itertools
import pickle
import zlib
from collections.abc import Callable, Iterator, Mapping

import jax
import jax.numpy as jnp
import numpy as np

from dynamics import contracts, network, stages, train
from dynamics.components import NEEDS
from dynamics.leaves import weights
from dynamics.plan import Cell
from dynamics.schema import ConfigError
from dynamics.study import Study, check_common_data, due
from dynamics.types import Data, Frozen, Problem, State
from experiments.build import build, shapes
from experiments.resolve import families, needs_x64, parts_of
from experiments.sizes import Shapes


def check_cell(cell: Cell, after_start: Shapes | None = None) -> tuple[Study, Shapes]:
  """Traces the data, the start, the steps, every intervention and every probe of a cell, and gives their shapes.

  Args:
    cell: what is to be run.
    after_start: the shapes of a cell that is the same after its start: of this one the start alone is traced.

  Raises:
    ConfigError: the first thing that does not fit, in a sentence.
  """
  parts = parts_of({**cell.config, 'probes': cell.probes}).values()
  with jax.enable_x64(needs_x64(cell)), sentences(foreign=any(isinstance(part.maker.revision, str) for part in parts)):
    study = build(cell)
    devices = cell.config['data_parallel']
    if devices > jax.device_count():
      raise ConfigError(f'data_parallel is {devices}; there are only {jax.device_count()} devices here.')
    hyper = {name: np.float32(values[0]) for name, values in cell.hyper.items()}  # numpy's, so that nothing is compiled
    problem = study.problem(hyper, None)
    data = shapes(problem.task)
    _check_batch(cell, problem, data)
    _check_needs(cell, problem, data)
    for times in (study.schedule, study.interventions):
      due(times, study.steps)
    check_common_data(study, {name: np.float32(values) for name, values in cell.hyper.items()})
    traced = _trace(cell, study, hyper, data, after_start)
    if reads_values(cell):
      _look(cell, study, hyper, traced)
    return study, traced


def reads_values(cell: Cell) -> bool:
  """Whether a check looks at the values of the data, and not at their shapes alone: they are the user's own."""
  return 'data.files' in cell.revisions or isinstance(cell.revisions['data'], str)


def _trace(cell: Cell, study: Study, hyper: Mapping[str, np.float32], data: Data, after_start: Shapes | None) -> Shapes:
  """Every program of one member, from shapes."""
  member = _member(cell, hyper)
  if after_start is not None:
    state, frozen = jax.eval_shape(stages.draw(study), member, data)
    state = state._replace(probes=after_start.state.probes)
    _check_state(cell, state, frozen)
    return after_start._replace(state=state, frozen=frozen)
  state, frozen = _start(study, member, data)
  _check_state(cell, state, frozen)

  def loss(state, frozen, member, data):
    problem, data = study.problem(member.hyper, member.source), data._replace(source=member.source)
    batch = problem.batch(member.keys, data, jnp.int32(0))
    share = jax.tree.map(lambda x: x[: x.shape[0] // cell.config['data_parallel']], batch)
    return contracts.objective(problem.objective(frozen.joined(state.variables), share, member.keys))

  jax.eval_shape(loss, state, frozen, member, data)
  step = jax.ShapeDtypeStruct((), jnp.int32)
  if cell.config['data_parallel'] == 1:
    jax.eval_shape(stages.advance(study), state, frozen, member, data, step, step)
  for name in study.interventions:
    with sentences(f'interventions.{name}'):
      jax.eval_shape(stages.intervene(study, name), state, frozen, member, data, step)
  readings = {}
  for name in study.schedule:
    with sentences(f'probes.{name}'):
      readings[name], _ = jax.eval_shape(stages.measure(study, name), state, frozen, member, data, step)
  return Shapes(state, frozen, data, readings)


def _look(cell: Cell, study: Study, hyper: Mapping[str, np.float32], traced: Shapes) -> None:
  """The values of data that are the user's own, before a run begins that would meet them."""
  drawn = jax.jit(lambda key: study.problem(hyper, None).task.draw(key))(train.seed_key(cell.config['data_seed']))
  of_members = lambda tree: jax.tree.map(lambda x: jax.ShapeDtypeStruct((1, *x.shape), x.dtype), tree)
  drawn = jax.tree.map(lambda x: x[None], drawn) if study.own_data else drawn
  contracts.run(study, of_members(_member(cell, hyper)), drawn, of_members(traced.state), of_members(traced.frozen))


def _start(study: Study, member: stages.Members, data: Data) -> tuple[State, Frozen]:
  """State and start of one member; where a probe refuses to begin, the sentence names it."""
  alone = lambda schedule: jax.eval_shape(stages.start(study._replace(schedule=schedule)), member, data)
  try:
    return alone(study.schedule)
  except (TypeError, ValueError):
    for name, times in study.schedule.items():
      with sentences(f'probes.{name}'):
        alone({name: times})
    raise


def _check_batch(cell: Cell, problem: Problem, data: Data) -> None:
  batch, devices = cell.config['batch'], cell.config['data_parallel']
  if problem.task.batch is not None:
    if batch['size']:
      raise ConfigError(f'batch.size is {batch["size"]}, but this task draws the examples of every step itself: set it there.')
    return
  rows = data.train.y.shape[0]
  size = batch['size'] or rows
  if size > rows:
    raise ConfigError(f'batch.size is {size}, but there are only {rows} training examples.')
  if size % devices:
    raise ConfigError(f'data_parallel is {devices}, which does not divide the batch of {size} examples.')


def _check_needs(cell: Cell, problem: Problem, data: Data) -> None:
  """What components need of the others, against what there is."""
  meets, table = _facts(cell, problem, data), families()
  for where, part in parts_of({**cell.config, 'probes': cell.probes}).items():
    missing = [need for need in part.maker.needs if not meets[need]()]
    if missing:
      block = where.partition('.')[0]
      fitting = [name for name, maker in table[block].items() if all(meets[need]() for need in maker.needs)]
      instead = f': take {", ".join(fitting)}' if where == block and fitting else ''
      what = f'{where} {part.maker.__name__!r}' if where == block else where
      raise ConfigError(f'{what} needs {NEEDS[missing[0]]}, which this run does not have{instead}.')


def _facts(cell: Cell, problem: Problem, data: Data) -> Mapping[str, Callable[[], bool]]:
  """need -> whether this run meets it."""
  kinds = lambda tree, kind: all(jnp.issubdtype(x.dtype, kind) for x in jax.tree.leaves(tree))

  def chain():
    pairs = itertools.pairwise(weights(problem.model.leaves()))
    return all(len(a.shape) == len(b.shape) == 2 and a.shape[1] == b.shape[0] for a, b in pairs)

  def hidden_layers():
    key, known = jax.eval_shape(lambda: train.seed_key(0)), data._replace(source=source_shapes(cell))
    features = lambda key, data: problem.model.forward(network.begun(problem.model.init(key, data)), data.train.x)[1].features
    return bool(jax.eval_shape(features, key, known))

  return {
    'labels': lambda: kinds(data.train.y, jnp.integer),
    'float_targets': lambda: kinds(data.train.y, jnp.floating),
    'tokens': lambda: kinds(data.train.x, jnp.integer),
    'features': lambda: kinds(data.train.x, jnp.floating),
    'chain': chain,
    'hidden_layers': hidden_layers,
    'source': lambda: cell.source is not None,
  }


def _check_state(cell: Cell, state: State, frozen: Frozen) -> None:
  """Whether a run can go on with the training of its source."""
  if cell.source is None or cell.source.take != 'state':
    return
  listening = [name for name, probe in state.probes.items() if jax.tree.leaves(probe)]
  if listening:
    raise ConfigError(
      f"source: take='state' begins in the middle, where probes.{listening[0]} cannot: it listens from the start."
    )
  kinds = lambda tree: jax.tree.map(lambda x: (x.shape, str(x.dtype)), tree)
  if kinds((state._replace(probes={}), frozen)) != kinds(_start_shapes(cell.source.cell)):
    raise ConfigError("source: take='state' goes on with a training, but that run's state has other shapes than this one's.")


def source_shapes(cell: Cell):
  """The shapes of the source run's variables, of one member."""
  if cell.source is None:
    return None
  state, frozen = _start_shapes(cell.source.cell)
  return frozen.joined(state.variables)


def _start_shapes(cell: Cell) -> tuple[State, Frozen]:
  """State and start of one member without probes."""
  study = build(cell._replace(probes={}))
  hyper = {name: np.float32(values[0]) for name, values in cell.hyper.items()}
  return jax.eval_shape(stages.start(study), _member(cell, hyper), shapes(study.problem(hyper, None).task))


def _member(cell: Cell, hyper: Mapping[str, np.float32]) -> stages.Members:
  """Shapes of a member's key and source, with its hyper values."""
  return stages.Members(jax.eval_shape(lambda: train.seed_key(0)), hyper, source_shapes(cell))


@contextlib.contextmanager
def sentences(where: str = '', foreign: bool = False) -> Iterator[None]:
  """Turns what the library refuses into an error of the config; with `foreign` code, whatever goes wrong in it."""
  head = f'{where}: ' if where else ''
  try:
    yield
  except ConfigError:
    raise
  except (zlib.error, pickle.UnpicklingError, EOFError, OSError, KeyError) as error:  # data files: missing or damaged
    raise ConfigError(f'data: {error}.') from error
  except Exception as error:
    if not foreign and not isinstance(error, (TypeError, ValueError, MemoryError, OverflowError)):
      raise
    text = (str(error).splitlines() or [type(error).__name__])[0].rstrip('.')
    raise ConfigError(f'{head}{text}.') from error
