"""Members and batches over devices: the code of one device, with named axes, spread over an explicit mesh.

The axes are (member, data). Members never speak to each other; the shards of a batch do, through `pmean` over 'data'.
The body reads as `pmap` code does. Behind it stands `jit(shard_map)`, which is what `pmap` has become inside and which
costs less a call; `backend='pmap'` runs the same body under `pmap` itself and is tested to agree.
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
  """The largest mesh (member, data) that `members` fill evenly; devices left over stay idle.

  Raises:
    ValueError: fewer devices than `data`.
  """
  devices = jax.devices() if devices is None else list(devices)
  if data > len(devices):
    raise ValueError(f'the batch is to be split over {data} devices, but there is {len(devices)} here')
  rows = max(r for r in range(1, len(devices) // data + 1) if members % r == 0)
  grid = np.array(devices[: rows * data]).reshape(rows, data)
  return Mesh(grid, (MEMBER, DATA), axis_types=(AxisType.Auto,) * 2)


def over_members(one: Callable, axes: Sequence[int | None], layout: str) -> Callable:
  """`one` member's function for all members: arguments with axis 0 carry a leading m, those with None are shared.

  layout 'vmap' runs the members side by side, 'map' one after the other: slower on an accelerator, often faster for
  convolutions and large layers on a CPU, and the way to debug one member.
  """
  if layout == 'vmap':
    return jax.vmap(one, in_axes=tuple(axes))
  if layout != 'map':
    raise ValueError(f"layout is {layout!r}; it must be 'vmap' or 'map'")

  def mapped(*args):
    def body(own):
      own = iter(own)
      return one(*(next(own) if axis == 0 else arg for arg, axis in zip(args, axes, strict=True)))

    return jax.lax.map(body, tuple(arg for arg, axis in zip(args, axes, strict=True) if axis == 0))

  return mapped


def spmd(
  body: Callable, grid: Mesh, axes: Sequence[int | None], donate: Sequence[int] = (), backend: str = 'shard_map'
) -> Callable:
  """Compiles `body`, written for the members of one device, for all devices of the mesh.

  Args:
    body: (args...) -> tree, every leaf of the result with a leading member axis.
    grid: a mesh with axes (member, data).
    axes: for each argument 0 (split over members) or None (the same everywhere).
    donate: arguments whose buffers the result may reuse.
    backend: 'shard_map' or 'pmap'; the latter spreads one of the two axes at a time.
  """
  if backend == 'shard_map':
    specs = tuple(P(MEMBER) if axis == 0 else P() for axis in axes)
    # Probes start loops from plain zeros, which the replication check would refuse.
    mapped = jax.shard_map(body, mesh=grid, in_specs=specs, out_specs=P(MEMBER), check_vma=False)
    return jax.jit(mapped, donate_argnums=tuple(donate))
  if backend != 'pmap':
    raise ValueError(f"backend is {backend!r}; it must be 'shard_map' or 'pmap'")
  rows, columns = grid.devices.shape
  if rows > 1 and columns > 1:
    raise ValueError('the pmap backend spreads members or the batch, not both; use shard_map')
  devices = list(grid.devices.flat)
  if columns > 1:
    # pmap wants one argument that is split: the number of each device, which the body does not see.
    split = jax.pmap(lambda number, *args: body(*args), axis_name=DATA, in_axes=(0, *(None,) * len(axes)), devices=devices)
    return lambda *args: jax.tree.map(lambda x: x[0], split(np.arange(columns, dtype=np.int32), *args))
  split = jax.pmap(body, axis_name=MEMBER, in_axes=tuple(axes), devices=devices, axis_size=rows)

  def call(*args):
    folded = [_fold(arg, rows) if axis == 0 else arg for arg, axis in zip(args, axes, strict=True)]
    return jax.tree.map(lambda x: x.reshape((math.prod(x.shape[:2]), *x.shape[2:])), split(*folded))

  return call


def split() -> bool:
  """Whether the code that is being traced sees one device's share of a batch: inside of `spmd`, over more than one of 'data'."""
  return dict(jax.sharding.get_abstract_mesh().shape).get(DATA, 1) > 1


def place(tree, grid: Mesh, split: bool):
  """Puts arrays where `spmd` wants them: split over members, or whole on every device. Typed keys pass too."""
  return _placing(NamedSharding(grid, P(MEMBER) if split else P()))(tree)


@functools.cache
def _placing(sharding: NamedSharding) -> Callable:
  return jax.jit(lambda x: x, out_shardings=sharding)


def _fold(tree, rows: int):
  return jax.tree.map(lambda x: x.reshape((rows, x.shape[0] // rows, *x.shape[1:])), tree)
