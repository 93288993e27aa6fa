"""A linear problem whose solutions are a plane of known codimension."""

import jax.numpy as jnp
import numpy as np

from dynamics.components import component
from dynamics.schema import Range
from dynamics.types import Batch, Data, Task


@component()
def constraints(*, parameters: Range(int, least=1) = 1000, number: Range(int, least=1) = 10) -> Task:
  """Sums of parts of a weight vector, for a linear model of one output without bias: part i is to sum to i, i = 1, 2, ...

  x: (number, parameters), row i is 1 on the i-th of `number` near equal parts and 0 elsewhere; y: (number, 1). The weights
  that fit all rows are a plane of codimension `number`. Training and test examples are the same, and nothing is drawn.

  Raises:
    ValueError: more constraints than parameters.
  Source: 1804.08838, toy example.
  """
  if number > parameters:
    raise ValueError(f'number is {number}, but there are only {parameters} parameters')
  part = np.arange(parameters) * number // parameters
  rows = (part[None] == np.arange(number)[:, None]).astype(np.float32)
  sums = np.arange(1, number + 1, dtype=np.float32)[:, None]

  def draw(key):
    examples = Batch(jnp.asarray(rows), jnp.asarray(sums))
    return Data(examples, examples)

  return Task(draw, outputs=1)
