"""Sparse parity: the parity of a few bits among many that do not matter (2207.08799)."""

import jax
import jax.numpy as jnp

from dynamics import trees
from dynamics.components import component
from dynamics.data.split import noisy
from dynamics.schema import Range, Traced
from dynamics.types import Batch, Data, Task


@component()
def parity(
  *,
  bits: Range(int, least=1) = 3,
  noise_bits: Range(int, least=0) = 40,
  train: Range(int, least=1) = 1000,
  test: Range(int, least=1) = 1000,
  label_noise: Traced(least=0.0, most=1.0) = 0.0,
) -> Task:
  """x: (n, bits + noise_bits) floats of +-1; y: (n,) the parity, 0 or 1, of the first `bits` (how many are +1)."""

  def examples(key, n):
    x = jax.random.rademacher(key, (n, bits + noise_bits), jnp.float32)
    return Batch(x, (jnp.sum(x[:, :bits] > 0, axis=1, dtype=jnp.int32) % 2))

  def draw(key):
    seen = examples(trees.named_key(key, 'train'), train)
    return Data(seen._replace(y=noisy(key, seen.y, 2, label_noise)), examples(trees.named_key(key, 'test'), test))

  return Task(draw, outputs=2)
