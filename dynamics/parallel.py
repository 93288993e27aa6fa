"""Members and batches over devices: a function written for one device runs on every device of an explicit mesh.

The mesh axes are (member, data). Members never communicate. The shards of a batch do, by `pmean` over 'data'. The function
is written as for `pmap` and compiled by `jit(shard_map)`, which has less overhead per call; `backend='pmap'` runs the same
function under `pmap`, and a test holds the two to the same numbers.
"""

import functools
import math
from collections.abc import Callable, Sequence

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

MEMBER, DATA = 'member', 'data'


def mesh(members: int, data: int = 1, devices: Sequence[jax.Device] | None = None) -> Mesh:
  """The largest mesh (member, data) over which `members` can be split evenly; other devices stay idle.

  Where several processes run one program, all have equally many devices of the mesh: members are spread over them, and a batch
  over devices of one, as long as these suffice.

  Args:
    members: the number of members.
    data: devices over which each batch is split.
    devices: the devices to use; None is all of them.

  Raises:
    ValueError: fewer devices than `data`; a process without a share.
  """
  devices = jax.devices() if devices is None else list(devices)
  if data > len(devices):
    raise ValueError(f'the batch is to be split over {data} devices, but there is {len(devices)} here')
  hosts = [[device for device in devices if device.process_index == i] for i in sorted({d.process_index for d in devices})]
  for each in range(min(map(len, hosts)), 0, -1):
    rows, rest = divmod(each * len(hosts), data)
    if rest == 0 and rows and members % rows == 0:
      grid = np.array([host[:each] for host in hosts]).reshape(rows, data)
      return Mesh(grid, (MEMBER, DATA), axis_types=(AxisType.Auto,) * 2)
  batches = f' with each batch over {data} devices' if data > 1 else ''
  raise ValueError(f'{members} members{batches} cannot be spread evenly over {len(hosts)} processes: take fewer processes')


def check_alone(name: str) -> None:
  """Refuses what processes cannot do together.

  Raises:
    ValueError: this is one of several processes that run one program.
  """
  if jax.process_count() > 1:
    text = f'{name} has all members in one process, and {jax.process_count()} processes run this program'
    raise ValueError(f'{text}: use experiments.run --processes, which spreads them.')


def rows(grid: Mesh, members: int) -> np.ndarray:
  """The members of which this process has the numbers that nobody else has: all where it is alone."""
  size = members // len(grid.devices)
  local_rows = [i for i, row in enumerate(grid.devices) if row[0].process_index == jax.process_index()]
  return np.concatenate([np.arange(i * size, (i + 1) * size) for i in local_rows] or [np.arange(0)])


def pieces(array: jax.Array) -> list[tuple[int, np.ndarray]]:
  """(first member, numbers) of each device of this process, those of `rows` together."""
  shards = [shard for shard in array.addressable_shards if shard.replica_id == 0]
  return sorted(((shard.index[0].start or 0, np.asarray(shard.data)) for shard in shards), key=lambda piece: piece[0])


def local(array: jax.Array | np.ndarray) -> np.ndarray:
  """The members `rows` of an array (m, ...)."""
  if not isinstance(array, jax.Array) or array.is_fully_addressable:
    return np.asarray(array)
  return np.concatenate([piece for _, piece in pieces(array)] or [np.zeros((0, *array.shape[1:]), array.dtype)])


def seen(array) -> np.ndarray:
  """All of an array that this process has, members more than once where several of its devices have them."""
  if not isinstance(array, jax.Array) or array.is_fully_addressable or array.is_fully_replicated:
    return np.asarray(array)
  return np.concatenate([np.asarray(shard.data) for shard in array.addressable_shards])


def whole(array: jax.Array | np.ndarray) -> np.ndarray:
  """All of an array, in every process."""
  if not isinstance(array, jax.Array) or array.is_fully_addressable:
    return np.asarray(array)
  return multihost_utils.process_allgather(array, tiled=True)


def agreed(number: float) -> float:
  """What the first process passes, in every process."""
  return number if jax.process_count() == 1 else float(multihost_utils.broadcast_one_to_all(np.float32(number)))


def over_members(function: Callable, axes: Sequence[int | None], layout: str) -> Callable:
  """Lifts a function of one member to all members: arguments with axis 0 have a leading axis m, those with None are shared.

  layout 'vmap' computes the members side by side, 'map' one after the other: slower on an accelerator, often faster for
  convolutions and large layers on a CPU, and the way to debug one member.

  Raises:
    ValueError: an unknown layout.
  """
  if layout == 'vmap':
    return jax.vmap(function, in_axes=tuple(axes))
  if layout != 'map':
    raise ValueError(f"layout is {layout!r}; it must be 'vmap' or 'map'")

  def mapped(*args):
    def body(member):
      member = iter(member)
      return function(*(next(member) if axis == 0 else arg for arg, axis in zip(args, axes, strict=True)))

    return jax.lax.map(body, tuple(arg for arg, axis in zip(args, axes, strict=True) if axis == 0))

  return mapped


def spmd(
  body: Callable, grid: Mesh, axes: Sequence[int | None], donate: Sequence[int] = (), backend: str = 'shard_map'
) -> Callable:
  """Compiles `body`, a function of the members on one device, for all devices of the mesh.

  Args:
    body: (args...) -> tree, every leaf of the result with a leading member axis.
    grid: a mesh with axes (member, data).
    axes: for each argument 0 (split over members) or None (replicated on every device).
    donate: positions of arguments whose buffers the result may reuse.
    backend: 'shard_map' or 'pmap'; 'pmap' supports only one mesh axis larger than 1.

  Raises:
    ValueError: an unknown backend; 'pmap' with both mesh axes larger than 1.
  """
  if backend == 'shard_map':
    specs = tuple(P(MEMBER) if axis == 0 else P() for axis in axes)
    # Probes start loops from unsharded zeros, which the replication check would refuse.
    mapped = jax.shard_map(body, mesh=grid, in_specs=specs, out_specs=P(MEMBER), check_vma=False)
    return jax.jit(mapped, donate_argnums=tuple(donate))
  if backend != 'pmap':
    raise ValueError(f"backend is {backend!r}; it must be 'shard_map' or 'pmap'")
  rows, columns = grid.devices.shape
  if rows > 1 and columns > 1:
    raise ValueError('the pmap backend spreads members or the batch, not both; use shard_map')
  devices = list(grid.devices.flat)
  if columns > 1:
    # pmap needs at least one argument that is split: the index of the device, which is not passed on to the body.
    mapped = jax.pmap(lambda index, *args: body(*args), axis_name=DATA, in_axes=(0, *(None,) * len(axes)), devices=devices)
    return lambda *args: jax.tree.map(lambda x: x[0], mapped(np.arange(columns, dtype=np.int32), *args))
  mapped = jax.pmap(body, axis_name=MEMBER, in_axes=tuple(axes), devices=devices, axis_size=rows)

  def call(*args):
    folded = [_fold(arg, rows) if axis == 0 else arg for arg, axis in zip(args, axes, strict=True)]
    return jax.tree.map(lambda x: x.reshape((math.prod(x.shape[:2]), *x.shape[2:])), mapped(*folded))

  return call


def split() -> bool:
  """Whether the code being traced sees one device's shard of a batch: inside `spmd`, with a 'data' axis larger than 1."""
  return dict(jax.sharding.get_abstract_mesh().shape).get(DATA, 1) > 1


def shard(tree, shards: int):
  """This device's part of the rows of a batch, inside `spmd`.

  Raises:
    ValueError: rows that cannot be split evenly.
  """
  rows = jax.tree.leaves(tree)[0].shape[0]
  if rows % shards:
    raise ValueError(f'a batch of {rows} examples cannot be split evenly over {shards} devices')
  size = rows // shards
  return jax.tree.map(lambda x: jax.lax.dynamic_slice_in_dim(x, jax.lax.axis_index(DATA) * size, size), tree)


def place(tree, grid: Mesh, split: bool):
  """Moves a tree to the devices of `grid`: split over members, or replicated. Leaves may be typed keys."""
  return _copy_to(NamedSharding(grid, P(MEMBER) if split else P()))(tree)


@functools.cache
def _copy_to(sharding: NamedSharding) -> Callable:
  return jax.jit(lambda x: x, out_shardings=sharding)


def _fold(tree, rows: int):
  return jax.tree.map(lambda x: x.reshape((rows, x.shape[0] // rows, *x.shape[1:])), tree)
