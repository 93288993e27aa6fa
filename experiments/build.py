"""From a cell to its Study: the components that its config names, put together. No component is named here."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from dynamics import modules, network, study
from dynamics.components import Part
from dynamics.data.sampling import sampler
from dynamics.optim import chain
from dynamics.plan import Cell, Config
from dynamics.schema import fields
from dynamics.types import Data, Model, Problem, Source
from experiments.resolve import parts_of


def build(cell: Cell) -> study.Study:
  """The study of a cell, to be called in 64-bit mode where it needs that. Cheap: nothing is compiled.

  Raises:
    ValueError, OSError, ...: a sentence of a component on values that do not go together, or on data that are not there.
  """
  config = cell.config
  problem = experiment({**config, 'probes': cell.probes}, _source_model(cell))
  largest = {name: np.float32(max(values)) for name, values in cell.hyper.items()}
  problem(largest, None)  # outside of any trace: makes all that reads no hyper value, and a component may look at its own
  times = lambda blocks: {name: study.times(config['steps'], **entry['schedule']) for name, entry in blocks.items()}
  return study.Study(
    problem=problem,
    steps=config['steps'],
    schedule=times(cell.probes),
    interventions=times(config.get('interventions', {})),
    own_data=config['own_data'],
    data_seed=config['data_seed'],
  )


def after_start(cell: Cell) -> Cell:
  """The cell without its init: the programs after the start are the same for all cells that differ in that alone.

  A component from outside may draw weights of its own whenever it likes: with one of those, the cell as it is.
  """
  parts = parts_of({**cell.config, 'probes': cell.probes})
  if any(isinstance(part.maker.revision, str) for part in parts.values()):
    return cell
  read = {name for where, part in parts.items() if where != 'init' for name in part.reads}
  without = lambda of: {name: value for name, value in of.items() if name != 'init'}
  hyper = {name: values for name, values in cell.hyper.items() if name in read}
  return cell._replace(config=without(cell.config), revisions=without(cell.revisions), hyper=hyper)


def experiment(config: Config, source_model: Callable[[], Model] | None = None) -> Callable[[Mapping, Any], Problem]:
  """(hyper, source variables) -> the problem of a resolved config."""
  parts = parts_of(config)
  make, once = _makers(parts)

  def problem(hyper, source):
    task = make('data', hyper)
    module = lambda: parts['model'].make(hyper, task.outputs, task.vocabulary)
    model = once('model', lambda: modules.as_model(module(), shapes(task).train.x))
    model = network.initialised(model, make('init', hyper) if 'init' in parts else None)
    for where in (w for w in parts if w.startswith('transforms.')):
      model = make(where, hyper)(model)
    loss = make('loss', hyper)
    other = Source(source_model(), source) if source_model else None
    schedule = make('lr_schedule', hyper, config['steps'])
    around = {name: config['optimizer'][name] for name in fields(chain)}
    return Problem(
      task=task,
      model=model,
      loss=loss,
      objective=make('objective', hyper)(model, loss, other),
      optimizer=chain(make('optimizer', hyper), schedule, model.rates, **around),
      batch=task.batch or sampler(**config['batch']),
      stop=make('stopping', hyper) if 'stopping' in parts else None,
      interventions=_family('interventions', parts, make, hyper),
      probes=_family('probes', parts, make, hyper),
    )

  return problem


def shapes(task) -> Data:
  """The shapes and dtypes of a task's data."""
  return jax.eval_shape(lambda: task.draw(jax.random.key(0)))


def _family(block: str, parts: Mapping[str, Part], make, hyper) -> dict[str, Any]:
  return {where.partition('.')[2]: make(where, hyper) for where in parts if where.startswith(f'{block}.')}


def _makers(parts: Mapping[str, Part]):
  """`make(where, hyper, *supplied)` and `once(where, function)`: what reads no hyper value is made once, for all traces."""
  fixed: dict[str, Any] = {}

  def once(where, function):
    if parts[where].reads:
      return function()
    if where not in fixed:
      fixed[where] = function()
    return fixed[where]

  return lambda where, hyper, *supplied: once(where, lambda: parts[where].make(hyper, *supplied)), once


def _source_model(cell: Cell) -> Callable[[], Model] | None:
  """The source run's model, for the hyper values that its members share."""
  if cell.source is None:
    return None
  other = cell.source.cell
  hyper = {name: np.float32(values[cell.source.members[0]]) for name, values in other.hyper.items()}
  problem = experiment({**other.config, 'probes': {}}, _source_model(other))
  return lambda: problem(hyper, None).model
