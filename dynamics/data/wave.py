"""One plane wave to fit: a target of a given frequency."""

import jax
import jax.numpy as jnp

from dynamics import trees
from dynamics.components import component
from dynamics.schema import Range, Traced
from dynamics.types import Batch, Data, Task


@component()
def wave(
  *,
  inputs: Range(int, least=1) = 1,
  frequency: Traced(least=0.0) = 10.0,
  train: Range(int, least=1) = 256,
  test: Range(int, least=1) = 256,
) -> Task:
  """x: (n, inputs), uniform in the cube [-1, 1]^inputs; y: (n, 1) = sin(frequency u x + phase).

  The unit vector u and the phase are drawn once for all examples. In one dimension u is 1 or -1.

  Args:
    frequency: in radians per unit of x.
    inputs: d.
    train, test: numbers of examples.

  Source: 2008.08427 (targets of a given frequency, for random features of a band).
  """

  def draw(key):
    direction = jax.random.normal(trees.named_key(key, 'direction'), (inputs, 1), jnp.float32)
    phase = jax.random.uniform(trees.named_key(key, 'phase'), (), jnp.float32, 0, 2 * jnp.pi)
    u = direction / jnp.linalg.norm(direction)

    def examples(name, n):
      x = jax.random.uniform(trees.named_key(key, name), (n, inputs), jnp.float32, -1, 1)
      return Batch(x, jnp.sin(jnp.asarray(frequency, jnp.float32) * (x @ u) + phase))

    return Data(examples('train', train), examples('test', test))

  return Task(draw, outputs=1)
