"""Teacher and student: Gaussian inputs, targets from a random linear map or a random network."""

from typing import Literal

import jax
import jax.numpy as jnp

from dynamics import trees
from dynamics.activations import ACTIVATIONS, Activation
from dynamics.components import component
from dynamics.schema import Range
from dynamics.types import Batch, Data, Task


@component()
def teacher(
  *,
  inputs: Range(int, least=1) = 20,
  outputs: Range(int, least=1) = 1,
  hidden: Range(int, least=0) = 0,
  activation: Activation = 'tanh',
  noise: Range(float, least=0.0) = 0.0,
  train: Range(int, least=1) = 100,
  test: Range(int, least=1) = 1000,
  target: Literal['value', 'label'] = 'value',
) -> Task:
  """y = teacher(x) + noise, x ~ N(0, 1).

  The teacher is x W / sqrt(inputs), or with `hidden` units phi(x W / sqrt(inputs)) V / sqrt(hidden), all entries
  N(0, 1). target 'value' gives y (n, outputs) floats; 'label' gives (n,) the largest output, or the sign of a single one.

  Noise is on the training targets alone: the test error is against the teacher itself.
  """

  def draw(key):
    keys = {name: trees.named_key(key, name) for name in ('w', 'v', 'train', 'test', 'noise')}
    w = jax.random.normal(keys['w'], (inputs, hidden or outputs), jnp.float32) / inputs**0.5
    v = jax.random.normal(keys['v'], (hidden, outputs), jnp.float32) / max(hidden, 1) ** 0.5

    def answer(x):
      return ACTIVATIONS[activation](x @ w) @ v if hidden else x @ w

    def examples(key, n, spread):
      x = jax.random.normal(key, (n, inputs), jnp.float32)
      y = answer(x) + spread * jax.random.normal(keys['noise'], (n, outputs), jnp.float32)
      if target == 'value':
        return Batch(x, y)
      return Batch(x, (y[:, 0] > 0).astype(jnp.int32) if outputs == 1 else jnp.argmax(y, axis=1).astype(jnp.int32))

    return Data(examples(keys['train'], train, noise), examples(keys['test'], test, 0.0))

  return Task(draw, outputs=outputs)
