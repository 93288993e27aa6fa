"""The perceptron of 2301.13703: a label that one direction decides, with few examples near the boundary."""

import jax
import jax.numpy as jnp

from dynamics import trees
from dynamics.components import component
from dynamics.data.split import noisy
from dynamics.schema import Range, Traced
from dynamics.types import Batch, Data, Task


@component()
def perceptron(
  *,
  inputs: Range(int, least=1) = 64,
  chi: Range(int, least=0) = 0,
  train: Range(int, least=1) = 256,
  test: Range(int, least=1) = 1000,
  label_noise: Traced(least=0.0, most=1.0) = 0.0,
) -> Task:
  """x: (n, inputs); y: (n,) 1 where x_1 > 0 and else 0, for one output, so for the hinge loss.

  The density of x_1 is proportional to |x_1|^chi exp(-x_1^2 / 2); the other inputs are N(0, 1). chi = 0 is Gaussian too.
  Source: 2301.13703 (perceptron model).
  """

  def examples(key, n):
    # The length of chi + 1 normal numbers has this density.
    distance = jnp.linalg.norm(jax.random.normal(trees.named_key(key, 'distance'), (n, chi + 1), jnp.float32), axis=1)
    first = jax.random.rademacher(trees.named_key(key, 'side'), (n,), jnp.float32) * distance
    others = jax.random.normal(trees.named_key(key, 'others'), (n, inputs - 1), jnp.float32)
    return Batch(jnp.concatenate([first[:, None], others], axis=1), (first > 0).astype(jnp.int32))

  def draw(key):
    seen = examples(trees.named_key(key, 'train'), train)
    return Data(seen._replace(y=noisy(key, seen.y, 2, label_noise)), examples(trees.named_key(key, 'test'), test))

  return Task(draw, outputs=1)
