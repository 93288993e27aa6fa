"""Whether the training loss goes up and down from step to step."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp

from dynamics.components import component
from dynamics.losses import Loss
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
def oscillation(apply: Callable[..., Array], loss: Loss) -> Probe:
  """The autocorrelation at lag 1 of the training loss, over the steps since the last reading.

  Reading: autocorrelation (), sum over t of (l_t - m)(l_(t-1) - m) over the sum of (l_t - m)^2, with m the mean: -1 for a loss
    that alternates for long, near 1 for one that moves slowly; mean and deviation () of these losses, in the loss's unit. NaN
    before the second step, and autocorrelation where the loss does not move.
  Cost: a few operations on scalars a step, inside the training loop; six scalars of memory.
  Oracle: numpy in float64 on the losses of a python loop.
  Source: none; 2310.17074 is about such losses. The loss is that of the step's batch before the update.
  """
  empty = lambda: Sums(jnp.int32(0), *(jnp.float32(0),) * 5)

  def update(kept, signal):
    value = signal.loss.astype(jnp.float32)
    first = jnp.where(kept.count == 0, value, kept.first)
    l = value - first
    return Sums(kept.count + 1, first, l, kept.total + l, kept.squares + l * l, kept.products + l * kept.last)

  def measure(view, kept, key):
    n = jnp.maximum(kept.count, 1).astype(jnp.float32)
    m = kept.total / n
    spread = kept.squares - n * m * m
    # The first loss is the offset, so it counts as 0 here.
    together = kept.products - m * (2 * kept.total - kept.last) + (n - 1) * m * m
    some, moves = kept.count > 1, kept.squares > 0
    out = {
      'autocorrelation': jnp.where(some & moves, together / jnp.where(moves, spread, 1.0), jnp.nan),
      'mean': jnp.where(some, kept.first + m, jnp.nan),
      'deviation': jnp.where(some, jnp.sqrt(jnp.maximum(spread, 0.0) / n), jnp.nan),
    }
    return out, empty()

  return Probe(lambda view: empty(), measure, update)
