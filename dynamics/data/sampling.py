"""Which examples step t sees: functions (key, data, t) -> Batch that keep no state, so a run can resume anywhere."""

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp

from dynamics.schema import Range
from dynamics.types import Array, Batch, Data, Key

ROUNDS = 6  # of the Feistel network below


def sampler(
  *, size: Range(int, least=0) = 0, draw: Literal['epochs', 'independent'] = 'epochs'
) -> Callable[[Key, Data, Array], Batch]:
  """Minibatches of `size`; 0 is the full batch, in which nothing is drawn or reordered.

  Args:
    size: examples a step.
    draw: 'epochs' passes through the training set in a fresh order each epoch and drops its last, short batch;
      'independent' draws every example anew, with replacement.
  """

  def batch(key, data, t):
    n = data.train.y.shape[0]
    if not size:
      return data.train
    if size > n:
      raise ValueError(f'batch.size is {size}, but there are only {n} training examples')
    rows = row_numbers(key, t, n, size, draw)
    return jax.tree.map(lambda x: x[rows], data.train)

  return batch


def row_numbers(key: Key, t: Array, n: int, size: int, draw: str = 'epochs') -> Array:
  """Which `size` rows of n step t sees, (size,)."""
  places = jnp.arange(size, dtype=jnp.int32)
  if draw == 'independent':
    first, second = constants(key, t, 2)
    return _mix(_mix(places.astype(jnp.uint32) ^ first) ^ second) % jnp.uint32(n)
  epoch, place = t // (n // size), t % (n // size)
  return permuted(constants(key, epoch, ROUNDS), place * size + places, n)


def constants(key: Key, t: Array, count: int) -> Array:
  """(count,) uint32, random in key and t. jax.random's own generator would cost a small network half of its step."""
  low, high = jax.random.key_data(key)
  t, i = t.astype(jnp.uint32), jnp.arange(1, count + 1, dtype=jnp.uint32)
  return _mix(_mix(low + t * jnp.uint32(0x9E3779B9) + i * jnp.uint32(0x85EBCA6B)) ^ (high + t * jnp.uint32(0xC2B2AE35)))


def permuted(constants: Array, places: Array, n: int) -> Array:
  """Where a random order of 0..n-1 has these places: (k,) int32 to (k,) int32, without drawing the whole order.

  The order is that of `constants`, (ROUNDS,) uint32.

  A Feistel network on a grid a x b >= n is a bijection of the grid; walking on from the few cells beyond n makes it one
  of 0..n-1. Cost: O(k) instead of the O(n log n) of a permutation at each step.
  """
  b = max(1, int(n**0.5))
  a = -(-n // b)

  def once(i):
    row, column = i // b, i % b
    for r in range(ROUNDS):
      if r % 2:
        column = (column + _mix(row ^ constants[r]) % b) % b
      else:
        row = (row + _mix(column ^ constants[r]) % a) % a
    return row * b + column

  def walk(i):
    return jnp.where(i >= n, once(i), i)

  first = once(places.astype(jnp.uint32))
  return jax.lax.while_loop(lambda i: jnp.any(i >= n), walk, first).astype(jnp.int32)


def _mix(h: Array) -> Array:
  """A full avalanche of 32 bits: every input bit flips every output bit half of the time."""
  h = (h ^ (h >> 16)) * jnp.uint32(0x7FEB352D)
  h = (h ^ (h >> 15)) * jnp.uint32(0x846CA68B)
  return h ^ (h >> 16)
