"""Meters of the training steps themselves: read inside the loop, at every step."""

from typing import NamedTuple

import jax.numpy as jnp

from dynamics import trees
from dynamics.components import component
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
def meters() -> Probe:
  """Loss, gradient norm and update norm of the training steps since the last reading. NaN before the first step.

  Reading:
    loss/mean, loss/largest, loss/last (), unit of the loss: of the batch of a step, before its update.
    gradient_norm/mean, gradient_norm/largest, gradient_norm/last (), unit of the loss over a parameter: |g|.
    update_norm/mean, update_norm/largest, update_norm/last (), a parameter: |u|.
    path_length (), a parameter: the sum of all |u| since step 0.
  Cost: two norms a step, inside the training loop; a dozen scalars of state.
  Oracle: the same from a python loop over single steps.
  Source: none.
  """
  undefined = jnp.float32(jnp.nan)
  meter = lambda: Meter(jnp.float32(0), jnp.float32(-jnp.inf), undefined)
  empty = lambda: {'count': jnp.int32(0), **{name: meter() for name in ('loss', 'gradient_norm', 'update_norm')}}

  def add(meter, value):
    value = value.astype(jnp.float32)
    return Meter(meter.total + value, jnp.maximum(meter.largest, value), value)

  def init(view):
    return Counters(**empty(), path=jnp.float32(0))

  def update(state, info):
    size = trees.norm(info.updates)
    return Counters(
      state.count + 1,
      add(state.loss, info.loss),
      add(state.gradient_norm, trees.norm(info.grads)),
      add(state.update_norm, size),
      state.path + size.astype(jnp.float32),
    )

  def measure(view, state, key):
    def show(meter):
      stepped = state.count > 0
      mean = meter.total / jnp.maximum(state.count, 1).astype(jnp.float32)
      largest = jnp.where(stepped, meter.largest, undefined)
      return {'mean': jnp.where(stepped, mean, undefined), 'largest': largest, 'last': meter.last}

    reading = {name: show(getattr(state, name)) for name in ('loss', 'gradient_norm', 'update_norm')}
    return {**reading, 'path_length': state.path}, Counters(**empty(), path=state.path)

  return Probe(init, measure, update)
