"""When a member stopped."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from dynamics.components import component
from dynamics.losses import Loss
from dynamics.types import Array, Probe, stateless


@component()
def clock(apply: Callable[..., Array], loss: Loss) -> Probe:
  """The step at which a member reached the loss level of hyper value `stop_loss`, so that runs compare at equal loss.

  Reading: stopped, the first step whose batch has at most that loss, before its update (); inf until then, and where no level
    is set. The readings of all probes stand still from there on.
  Cost: none to read; training with a level copies the state once a step.
  Oracle: a python loop that stops by itself.
  Source: none.
  """

  def read(view, key):
    stopped = view.variables['clock']['stopped'] if 'clock' in view.variables else jnp.int32(-1)
    return {'stopped': jnp.where(stopped < 0, jnp.inf, stopped.astype(jnp.float32))}

  return stateless(read)


class Moves(NamedTuple):
  steps: Array  # taken so far
  moved: Array  # of these, those that moved a weight
  rested: Array  # the number of steps up to and with the last that moved one


@component()
def rest(apply: Callable[..., Array], loss: Loss) -> Probe:
  """When the weights came to rest: with a loss that is exactly flat once an example is fitted, the time at which all were.

  Reading: rested, the step since which no update has moved a weight (), 0 where none ever has; moved, the number of steps that
    did (). Both are exact up to 2^24 steps. Only a training loss of zero tells that a member rests for good.
  Cost: one pass over the updates a step, inside the training loop; three integers of memory.
  Oracle: a python loop over single steps.
  Source: 2301.13703 (the time t* at which the hinge loss of all examples is zero).
  """

  def update(kept, signal):
    some = jnp.any(jnp.stack([jnp.any(u != 0) for u in jax.tree.leaves(signal.updates)]))
    steps = kept.steps + 1
    return Moves(steps, kept.moved + some.astype(jnp.int32), jnp.where(some, steps, kept.rested))

  def measure(view, kept, key):
    return {'rested': kept.rested.astype(jnp.float32), 'moved': kept.moved.astype(jnp.float32)}, kept

  return Probe(lambda view: Moves(*(jnp.int32(0),) * 3), measure, update)
