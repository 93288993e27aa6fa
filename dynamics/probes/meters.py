"""Meters of the training steps themselves: read inside the loop, at every step."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp

from dynamics import trees
from dynamics.components import component
from dynamics.losses import Loss
from dynamics.types import Array, Probe


class Meter(NamedTuple):
  """Of one quantity over the steps since the last reading."""

  total: Array
  largest: Array
  last: Array


class Counters(NamedTuple):
  count: Array
  loss: Meter
  gradient_norm: Meter
  update_norm: Meter
  path: Array  # since step 0


@component()
def meters(apply: Callable[..., Array], loss: Loss) -> Probe:
  """Loss, gradient norm and update norm of every training step since the last reading.

  Reading: loss, gradient_norm, update_norm: each mean, largest and last () over the steps since the last reading, NaN
    before the first step; path_length, the sum of all update norms since step 0 (), in units of a parameter.
  Cost: two norms a step, inside the training loop; a dozen scalars of memory.
  Oracle: the same from a python loop over single steps.
  Source: none; the loss is that of the batch before the update.
  """
  none = jnp.float32(jnp.nan)
  meter = lambda: Meter(jnp.float32(0), jnp.float32(-jnp.inf), none)
  empty = lambda: {'count': jnp.int32(0), **{name: meter() for name in ('loss', 'gradient_norm', 'update_norm')}}

  def add(m, value):
    value = value.astype(jnp.float32)
    return Meter(m.total + value, jnp.maximum(m.largest, value), value)

  def init(view):
    return Counters(**empty(), path=jnp.float32(0))

  def update(kept, signal):
    step = trees.norm(signal.updates)
    return Counters(
      kept.count + 1,
      add(kept.loss, signal.loss),
      add(kept.gradient_norm, trees.norm(signal.grads)),
      add(kept.update_norm, step),
      kept.path + step.astype(jnp.float32),
    )

  def measure(view, kept, key):
    def show(m):
      some = kept.count > 0
      mean = m.total / jnp.maximum(kept.count, 1).astype(jnp.float32)
      return {'mean': jnp.where(some, mean, none), 'largest': jnp.where(some, m.largest, none), 'last': m.last}

    out = {name: show(getattr(kept, name)) for name in ('loss', 'gradient_norm', 'update_norm')}
    return {**out, 'path_length': kept.path}, Counters(**empty(), path=kept.path)

  return Probe(init, measure, update)
