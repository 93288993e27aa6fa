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
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

MEMBER, DATA = 'member', 'data'


def mesh(members: int, data: int = 1, devices: Sequence[jax.Device] | None = None) -> Mesh:
  """The largest mesh (member, data) over which `members` can be split evenly; other devices stay idle.

  Args:
    members: the number of members.
    data: devices over which each batch is split.
    devices: the devices to use; None is all of them.

  Raises:
    ValueError: fewer devices than `data`.
  """
  devices = jax.devices() if devices is None else list(devices)
  if data > len(devices):
    raise ValueError(f'the batch is to be split over {data} devices, but there is {len(devices)} here')
  rows = max(r for r in range(1, len(devices) // data + 1) if members % r == 0)
  grid = np.array(devices[: rows * data]).reshape(rows, data)
  return Mesh(grid, (MEMBER, DATA), axis_types=(AxisType.Auto,) * 2)


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
