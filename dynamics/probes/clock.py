"""When a member stopped."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from dynamics.components import component
from dynamics.types import Array, Probe, stateless


@component()
def clock() -> Probe:
  """The step at which the stopping rule held for a member, so that runs compare at equal loss.

  Reading:
    stopped (), steps: the first step at which the rule held, before its update; inf until then, and without a rule. The readings
      of all probes stand still from there on.
  Cost: none to read; training with a stopping rule copies the state once a step.
  Oracle: a python loop that stops by itself.
  Source: none.
  """

  def read(view, key):
    step = jnp.int32(-1) if isinstance(view.stopped, tuple) else view.stopped
    return {'stopped': jnp.where(step < 0, jnp.inf, step.astype(jnp.float32))}

  return stateless(read)


class Moves(NamedTuple):
  steps: Array  # taken so far
  moved: Array  # of these, those that moved a weight
  rested: Array  # the number of steps up to and with the last that moved one


@component()
def rest() -> Probe:
  """When the weights came to rest: with a loss that is exactly flat once an example is fitted, the time at which all were.

  Both readings are exact up to 2^24 steps. Only a training loss of zero tells that a member rests for good.

  Reading:
    rested (), steps: the step since which no update has moved a weight, 0 where none ever has.
    moved (), steps: the number of steps that moved a weight.
  Cost: one pass over the updates a step, inside the training loop; three integers of state.
  Oracle: a python loop over single steps.
  Source: 2301.13703 (the time t* at which the hinge loss of all examples is zero).
  """

  def update(state, info):
    moves = jnp.any(jnp.stack([jnp.any(u != 0) for u in jax.tree.leaves(info.updates)]))
    steps = state.steps + 1
    return Moves(steps, state.moved + moves.astype(jnp.int32), jnp.where(moves, steps, state.rested))

  def measure(view, state, key):
    return {'rested': state.rested.astype(jnp.float32), 'moved': state.moved.astype(jnp.float32)}, state

  return Probe(lambda view: Moves(*(jnp.int32(0),) * 3), measure, update)
