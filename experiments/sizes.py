"""What a cell needs of memory and disk, counted from shapes: nothing is allocated, compiled or written."""

import bisect
import os
import pathlib
import shutil
from collections.abc import Mapping
from typing import NamedTuple

import jax

from dynamics import parallel, stages, train, trees, turns
from dynamics.plan import Cell, identity
from dynamics.progress import size
from dynamics.schema import ConfigError
from dynamics.study import Study
from dynamics.types import Data, Frozen, Reading, State
from experiments import tables
from experiments.disk import used

CHECKPOINT, PART = 50_000, 1_500  # bytes that a checkpoint and a part take beside their numbers
ROW = 13  # bytes of step, member and finite
CGROUP = pathlib.Path('/sys/fs/cgroup/memory.max')


class Shapes(NamedTuple):
  """Shapes and dtypes of one member."""

  state: State
  frozen: Frozen
  data: Data
  readings: Mapping[str, Reading]  # probe -> one reading


def memory(cell: Cell, shapes: Shapes, at_once: int | None = None) -> dict[str, int]:
  """Bytes that the members of a cell hold at once, by part; activations and what XLA holds for a moment come on top.

  `at_once` is their number, by default that of all.
  """
  members = cell.members if at_once is None else at_once
  data_sets = members if cell.config['own_data'] else 1
  stepping = members if cell.config['layout'] == 'vmap' else 1
  return {
    'the state': members * (_bytes(shapes.state) + _bytes(shapes.frozen)),
    'the gradients': stepping * _bytes(shapes.state.variables['params']),
    'the data': data_sets * _bytes(shapes.data),
    **{f'a reading of probes.{probe}': members * _bytes(reading) for probe, reading in shapes.readings.items()},
  }


def disk(cell: Cell, study: Study, shapes: Shapes) -> dict[str, int]:
  """Bytes of a cell's results, by part."""
  checkpoint = CHECKPOINT + cell.members * _bytes(shapes.state)
  parts = {'checkpoints': (2 + len(cell.milestones)) * checkpoint + cell.members * _bytes(shapes.frozen)}
  for probe, reading in shapes.readings.items():
    row = ROW + sum(dtype.itemsize for dtype in tables.columns(reading).values())
    parts[f'the table of probes.{probe}'] = PART + row * cell.members * len(study.schedule[probe])
  return parts


def check_sizes(cell: Cell, study: Study, shapes: Shapes, out: pathlib.Path) -> int:
  """How many members go at once; refuses what memory cannot hold even in turns, or the disk.

  Raises:
    ConfigError: it says what is largest, and what would help.
  """
  most = at_once(cell, shapes)
  folder = next(place for place in (out.absolute(), *out.absolute().parents) if place.is_dir())
  free, needed = shutil.disk_usage(folder).free, disk(cell, study, shapes)
  written = used(out / identity(cell))
  if sum(needed.values()) > free + written:
    text = f'the results take {size(sum(needed.values()))}, and {folder} has {size(free)} free'
    raise ConfigError(f'{text}; the largest part is {_largest(needed)}: read less of it or less often, or take another --out.')
  return most


def at_once(cell: Cell, shapes: Shapes) -> int:
  """How many members the devices hold at once: all, or some, where the host's memory holds what belongs to the others.

  Raises:
    ConfigError: not even one a device fits, or the host's memory does not hold all.
  """
  there, needed = device_memory(cell), memory(cell, shapes)
  if sum(needed.values()) <= there:
    return cell.members
  if jax.process_count() > 1:
    raise ConfigError(
      f'{cell.members} members need at least {size(sum(needed.values()))} of memory, and there are {size(there)}; what several '
      'processes share goes at once: take more processes, or fewer members.'
    )
  rows, host = parallel.mesh(cell.members, cell.config['data_parallel']).shape[parallel.MEMBER], host_memory()
  held = cell.members * (_bytes(shapes.state) + _bytes(shapes.frozen) + cell.config['own_data'] * _bytes(shapes.data))
  room = min(there, host - held) if has_own_memory() else min(there, host) - held
  of_rows = lambda count: sum(memory(cell, shapes, count * rows).values())
  fitting = bisect.bisect_right(range(1, cell.members // rows + 1), room, key=of_rows) * rows
  if not fitting:
    text = f'{cell.members} members need at least {size(sum(needed.values()))} of memory, and there are {size(there)}'
    raise ConfigError(f'{text}: {_advice(cell, needed, min(there, host))}.')
  return fitting


def turns_text(cell: Cell, most: int) -> str:
  """A line on a cell whose members do not fit at once."""
  rows = parallel.mesh(cell.members, cell.config['data_parallel']).shape[parallel.MEMBER]
  numbers = turns.sizes(cell.members, most, rows)
  exact = '' if cell.config['layout'] == 'map' else "; the results are those of one go to rounding, with layout='map' to the bit"
  text = f'{size(device_memory(cell))} of memory do not hold {cell.members} members at once'
  return f'{text}: {len(numbers)} turns, the first of members 1 to {numbers[0]}{exact}'


def of_programs(cell: Cell, programs: train.Programs, members: stages.Members) -> Shapes:
  """The shapes of one member, from the programs of all."""
  of_one_member = lambda tree: jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), tree)
  data, (state, frozen) = jax.eval_shape(programs.data, members), programs.shapes(members)
  read = lambda measure: jax.eval_shape(lambda *args: measure(*args, 0)[0], state, frozen, members, data)
  readings = {probe: of_one_member(read(measure)) for probe, measure in programs.measure.items()}
  return Shapes(of_one_member(state), of_one_member(frozen), of_one_member(data) if cell.config['own_data'] else data, readings)


def device_memory(cell: Cell) -> int:
  """Bytes of the devices over which the members are spread; those of a CPU share the host's."""
  grid = _mesh(cell)
  if not has_own_memory():
    return host_memory()
  return grid.local_devices[0].memory_stats()['bytes_limit'] * grid.devices.size


def _mesh(cell: Cell):
  try:
    return parallel.mesh(cell.members, cell.config['data_parallel'])
  except ValueError as error:  # of several processes
    raise ConfigError(f'{error}, or seeds and hyper values that make another number of members.') from error


def has_own_memory() -> bool:
  """Whether the devices have a memory beside the host's."""
  return 'bytes_limit' in (jax.local_devices()[0].memory_stats() or {})


def host_memory() -> int:
  """Bytes that this process may have."""
  limit = CGROUP.read_text().strip() if CGROUP.is_file() else 'max'
  host = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
  return host if limit == 'max' else min(host, int(limit))


def parameters(shapes: Shapes) -> int:
  """Of one member."""
  return trees.size(shapes.state.variables['params'])


def _advice(cell: Cell, needed: Mapping[str, int], there: int) -> str:
  shared = 0 if cell.config['own_data'] else needed['the data']
  of_member = (sum(needed.values()) - shared) / cell.members
  fitting = int((there - shared) // of_member)
  if fitting >= 1:
    return f'about {fitting} of them fit, so take fewer seeds or a shorter sweep of hyper values'
  largest = _largest(needed)
  cures = {'the state': 'a smaller model', 'the gradients': 'a smaller model', 'the data': 'fewer examples'}
  return f'not even one fits; the largest part is {largest}, so take {cures.get(largest, "other fields of that probe")}'


def _largest(parts: Mapping[str, int]) -> str:
  return max(parts, key=parts.get)


def _bytes(tree) -> int:
  return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
