"""Stopping at a level of the training loss, so that runs compare at equal loss and not at equal step."""

from dynamics.components import component
from dynamics.schema import Traced


@component()
def at_loss(*, stop_loss: Traced(least=0.0)):
  """A member stands still, to the bit, from the first step whose batch has at most this loss, before that step's update.

  Levels are traced: a sweep over them is one program.
  """
  return lambda loss: loss <= stop_loss
