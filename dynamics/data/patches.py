"""Points made of patches: a weak feature that all have, a strong one that most have, and noise."""

import jax
import jax.numpy as jnp
import numpy as np

from dynamics import trees
from dynamics.components import component
from dynamics.data.split import noisy
from dynamics.random import random_orthonormal
from dynamics.schema import Range, Traced
from dynamics.types import Batch, Data, Task

Size = Range(float, least=0.0)


@component()
def patches(
  *,
  inputs: Range(int, least=3) = 200,
  weak: Size = 1.0,
  strong: Size = 4.0,
  noise: Size = 4.0,
  fraction: Range(float, least=0.0, most=1.0) = 0.9,
  train: Range(int, least=2) = 100,
  test: Range(int, least=1) = 1000,
  label_noise: Traced(least=0.0, most=1.0) = 0.0,
) -> Task:
  """x: (n, 3, inputs), the patches y u, y v (or 0) and xi; y: (n, 1), 1 and -1 in turn.

  u and v are random orthogonal vectors of lengths `weak` and `strong`; xi is Gaussian noise orthogonal to both, of mean square
  length `noise`^2. The first `fraction` of the training points have the strong patch, the others and all test points have 0
  in its place, so test accuracy is that on the weak feature alone. `label_noise` redraws the targets of training points, whose
  patches keep the sign that they had.
  Source: 2310.17074; lengths and numbers are ours.
  """

  def draw(key):
    u, v = random_orthonormal(trees.named_key(key, 'features'), inputs, 2).T

    def points(name, n, with_strong):
      sign = jnp.where(jnp.arange(n) % 2 == 0, 1.0, -1.0).astype(jnp.float32)[:, None]
      xi = jax.random.normal(trees.named_key(key, name), (n, inputs), jnp.float32) * (noise / (inputs - 2) ** 0.5)
      xi = xi - (xi @ u)[:, None] * u[None] - (xi @ v)[:, None] * v[None]
      has = jnp.asarray(np.arange(n) < with_strong, jnp.float32)[:, None]
      return Batch(jnp.stack([weak * sign * u[None], strong * has * sign * v[None], xi], axis=1), sign)

    seen = points('train', train, round(fraction * train))
    noisy_labels = noisy(key, (seen.y[:, 0] > 0).astype(jnp.int32), 2, label_noise)
    return Data(seen._replace(y=(2 * noisy_labels - 1).astype(jnp.float32)[:, None]), points('test', test, 0))

  return Task(draw, outputs=1)
