"""Which examples a step sees: orders without repeats, and draws that are uniform."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics.data.sampling import ROUNDS, constants, permuted, sampler
from dynamics.types import Batch, Data

KEY = jax.random.key(0, impl='threefry2x32')


def rows_of(n):
  whole = Batch(jnp.arange(n, dtype=jnp.int32)[:, None], jnp.arange(n, dtype=jnp.int32))
  return Data(whole, whole)


def permutes(n, places):
  order = np.asarray(permuted(constants(KEY, jnp.int32(0), ROUNDS), jnp.asarray(np.arange(places) % n, jnp.int32), n))
  return np.array_equal(np.sort(order[:n]), np.arange(n))


def test_shuffled_is_a_permutation_for_small_sizes_and_a_large_one():
  with jax.disable_jit():  # one shape for all sizes, so that nothing is compiled twice
    assert [n for n in (*range(1, 51), 97, 100, 101, 143, 144, 145, 199, 200) if not permutes(n, 200)] == []
  assert permutes(50_021, 50_021)


@pytest.mark.parametrize('over', ['keys', 'epochs'])
def test_orders_differ_with_key_and_epoch_and_have_no_favourite_places(over):
  """Over 2000 orders of 10, each value stands at each place 200 times; chi-square of 100 cells with 81 degrees of freedom."""
  if over == 'keys':
    some = jax.vmap(lambda key: constants(key, jnp.int32(5), ROUNDS))(jax.random.split(KEY, 2000))
  else:
    some = jax.vmap(lambda epoch: constants(KEY, epoch, ROUNDS))(jnp.arange(2000, dtype=jnp.int32))
  orders = jax.vmap(lambda c: permuted(c, jnp.arange(10, dtype=jnp.int32), 10))(some)
  counts = np.stack([np.bincount(place, minlength=10) for place in np.asarray(orders).T])
  assert ((counts - 200) ** 2 / 200).sum() < 81 + 6 * (2 * 81) ** 0.5
  assert len({tuple(o) for o in orders.tolist()}) > 1990
  follows = np.mean((np.diff(orders, axis=1) % 10) == 1)  # a shuffle that only rotates would keep neighbours together
  assert abs(follows - 0.1) < 0.02


@pytest.mark.parametrize(('n', 'size'), [(10, 5), (23, 4), (7, 7), (50, 1)])
def test_every_epoch_covers_its_full_batches_without_repeats(n, size):
  batch, data, a = sampler(size=size), rows_of(n), n // size
  seen = np.asarray(jax.vmap(lambda t: batch(KEY, data, t).y)(jnp.arange(3 * a, dtype=jnp.int32))).reshape(3, -1)
  assert all(len(set(epoch)) == a * size for epoch in seen.tolist())
  assert len({tuple(epoch) for epoch in seen.tolist()}) == 3


def test_a_batch_is_a_function_of_key_and_step():
  batch, data = sampler(size=4), rows_of(20)
  draw = lambda key, t: batch(key, data, jnp.int32(t)).y.tolist()
  assert draw(KEY, 3) == draw(KEY, 3) != draw(KEY, 4)
  assert draw(KEY, 3) != draw(jax.random.key(1), 3)
  both = batch(KEY, data, jnp.int32(3))
  np.testing.assert_array_equal(both.x[:, 0], both.y)


def test_independent_draws_are_uniform_and_with_replacement():
  """4000 draws of 20: chi-square with 19 degrees of freedom."""
  batch = sampler(size=40, draw='independent')
  drawn = np.asarray(jax.vmap(lambda t: batch(KEY, rows_of(20)._replace(train=many(20)), t).y)(jnp.arange(100, dtype=jnp.int32)))
  counts = np.bincount(drawn.ravel() % 20, minlength=20)
  assert ((counts - 200) ** 2 / 200).sum() < 19 + 6 * 38**0.5
  assert any(len(set(row)) < 40 for row in drawn.tolist())


def many(n):
  """The values 0..n-1 each twice, so that 40 draws fit."""
  return Batch(jnp.zeros((2 * n, 1)), jnp.arange(2 * n, dtype=jnp.int32))


def test_the_full_batch_is_the_training_set_as_it_stands():
  data = rows_of(6)
  assert sampler()(KEY, data, jnp.int32(5)) is data.train


@pytest.mark.parametrize('draw', ['epochs', 'independent'])
def test_a_batch_larger_than_the_data_is_refused(draw):
  with pytest.raises(ValueError, match='only 6 training examples'):
    sampler(size=7, draw=draw)(KEY, rows_of(6), jnp.int32(0))
