"""Whether the training loss goes up and down from step to step."""

from typing import NamedTuple

import jax.numpy as jnp

from dynamics.components import component
from dynamics.types import Array, Probe


class Sums(NamedTuple):
  """Of the losses since the last reading, each less the first of them: small numbers keep their digits so."""

  count: Array
  first: Array
  last: Array
  total: Array
  squares: Array
  products: Array  # of neighbours


@component()
def oscillation() -> Probe:
  """The autocorrelation at lag 1 of the training loss l_t, over the steps since the last reading. NaN before the second step.

  The loss is that of the step's batch before the update.

  Reading:
    autocorrelation (): sum over t of (l_t - m)(l_(t-1) - m) over the sum of (l_t - m)^2, with m the mean: -1 for a loss that
      alternates for long, near 1 for one that moves slowly; NaN where the loss does not move.
    mean (), unit of the loss: of these losses.
    deviation (), unit of the loss: their standard deviation.
  Cost: a few operations on scalars a step, inside the training loop; six scalars of state.
  Oracle: numpy in float64 on the losses of a python loop.
  Source: none; 2310.17074 is about such losses.
  """
  empty = lambda: Sums(jnp.int32(0), *(jnp.float32(0),) * 5)

  def update(state, info):
    value = info.loss.astype(jnp.float32)
    first = jnp.where(state.count == 0, value, state.first)
    l = value - first
    return Sums(state.count + 1, first, l, state.total + l, state.squares + l * l, state.products + l * state.last)

  def measure(view, state, key):
    n = jnp.maximum(state.count, 1).astype(jnp.float32)
    m = state.total / n
    spread = state.squares - n * m * m
    # The first loss is the offset, so it counts as 0 here.
    together = state.products - m * (2 * state.total - state.last) + (n - 1) * m * m
    enough, moves = state.count > 1, state.squares > 0
    reading = {
      'autocorrelation': jnp.where(enough & moves, together / jnp.where(moves, spread, 1.0), jnp.nan),
      'mean': jnp.where(enough, state.first + m, jnp.nan),
      'deviation': jnp.where(enough, jnp.sqrt(jnp.maximum(spread, 0.0) / n), jnp.nan),
    }
    return reading, empty()

  return Probe(lambda view: empty(), measure, update)
