"""Devices: four of them stand in for any number. Sums over shards differ from whole sums by rounding alone."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import parallel, train
from dynamics.parallel import DATA

GRIDS = [(1, 1), (2, 1), (4, 1), (1, 2), (1, 4)]


def close(a, b, rtol=1e-5, atol=1e-6):
  chex.assert_trees_all_close(a, b, rtol=rtol, atol=atol)


def grid_of(rows, columns=1):
  return parallel.mesh(rows, columns, jax.devices()[: rows * columns])


@pytest.mark.parametrize(
  ('members', 'data', 'shape'), [(4, 1, (4, 1)), (6, 1, (3, 1)), (5, 1, (1, 1)), (7, 2, (1, 2)), (2, 2, (2, 2)), (9, 4, (1, 4))]
)
def test_members_fill_the_mesh_evenly(members, data, shape):
  grid = parallel.mesh(members, data)
  assert grid.devices.shape == shape
  assert dict(grid.shape) == {'member': shape[0], 'data': shape[1]}


def test_too_few_devices_are_an_error():
  with pytest.raises(ValueError, match='split over 8 devices, but there is 4'):
    parallel.mesh(1, 8)


@pytest.mark.parametrize(('rows', 'columns'), GRIDS)
def test_pmap_agrees_with_shard_map(rows, columns):
  """A body with a member argument, a typed key, a shared argument and, where the batch is split, a sum over devices."""
  x, keys, shared = jnp.arange(12.0).reshape(4, 3), jax.random.split(jax.random.key(0), 4), jnp.arange(8.0)

  def one(x, key, shared):
    part = shared
    if columns > 1:
      n = 8 // columns
      part = jax.lax.dynamic_slice_in_dim(shared, jax.lax.axis_index(DATA) * n, n)
    total = jnp.sum(part**2)
    total = jax.lax.psum(total, DATA) if columns > 1 else total
    return {'sum': x * total, 'draw': jax.random.normal(key, (2,))}

  body = parallel.over_members(one, (0, 0, None), 'vmap')
  out = {b: parallel.spmd(body, grid_of(rows, columns), (0, 0, None), backend=b)(x, keys, shared) for b in ('pmap', 'shard_map')}
  close(out['pmap'], out['shard_map'], rtol=1e-6)
  np.testing.assert_allclose(out['shard_map']['sum'], x * 140)


@functools.cache
def trained(cases, rows, columns, backend='shard_map', batch=0, layout='vmap'):
  study = cases.study('linear', ('meters',), batch=batch)
  grid = grid_of(rows, columns)
  programs = train.compile_programs(study, grid, backend=backend, layout=layout)
  members = train.join(range(4), {'lr': (0.02, 0.03, 0.04, 0.05)})
  data = programs.data(members)
  state, frozen = programs.start(members, data)
  state = programs.advance(state, frozen, members, data, 0, 5)
  return jax.device_get((state, programs.measure['meters'](state, frozen, members, data, 5)[0]))


@pytest.mark.parametrize(('rows', 'columns'), [(4, 1), (1, 4)])
def test_training_under_pmap_agrees_with_shard_map(cases, rows, columns):
  close(trained(cases, rows, columns, 'pmap'), trained(cases, rows, columns))


@pytest.mark.parametrize('batch', [0, 8])
@pytest.mark.parametrize(('rows', 'columns', 'layout'), [(1, 2, 'vmap'), (1, 4, 'vmap'), (2, 2, 'vmap'), (1, 2, 'map')])
def test_a_split_batch_trains_as_the_whole(cases, rows, columns, layout, batch):
  close(trained(cases, rows, columns, batch=batch, layout=layout), trained(cases, 1, 1, batch=batch))


def test_a_batch_that_cannot_be_split_is_an_error(cases):
  with pytest.raises(ValueError, match='a batch of 5 examples cannot be split evenly over 2 devices'):
    trained(cases, 1, 2, batch=5)


def test_wrong_words_are_errors():
  with pytest.raises(ValueError, match="layout is 'loop'"):
    parallel.over_members(abs, (0,), 'loop')
  with pytest.raises(ValueError, match="backend is 'mpi'"):
    parallel.spmd(abs, grid_of(1), (0,), backend='mpi')
  with pytest.raises(ValueError, match='members or the batch, not both'):
    parallel.spmd(abs, grid_of(2, 2), (0,), backend='pmap')


def test_place_splits_members_and_copies_the_rest():
  grid, keys = parallel.mesh(4), jax.random.split(jax.random.key(0), 4)
  split, whole = (parallel.place((keys, jnp.arange(4.0)), grid, split=s) for s in (True, False))
  assert [s.data.shape for s in split[1].addressable_shards] == [(1,)] * 4
  assert [s.data.shape for s in whole[1].addressable_shards] == [(4,)] * 4
  np.testing.assert_array_equal(jax.random.key_data(split[0]), jax.random.key_data(keys))


def test_what_needs_one_process_is_refused_in_several(monkeypatch):
  monkeypatch.setattr(jax, 'process_count', lambda: 2)
  with pytest.raises(ValueError, match='has all members in one process, and 2 processes run this program'):
    train.run(None, (0,), {})
