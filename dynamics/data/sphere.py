"""Points on a sphere with one number each to fit: the inputs on which kernels of wide networks are looked at."""

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from dynamics import trees
from dynamics.components import component
from dynamics.schema import Range
from dynamics.types import Array, Batch, Data, Task


@component()
def sphere(
  *,
  inputs: Range(int, least=2) = 2,
  radius: Range(float, above=0.0) = 1.0,
  target: Literal['product', 'noise'] = 'product',
  angles: tuple[Range(float), ...] = (),
  train: Range(int, least=1) = 24,
  test: Range(int, least=1) = 100,
) -> Task:
  """x: (n, inputs), uniform on the sphere of this radius; y: (n, 1).

  target 'product' is x_1 x_2 / radius^2, as in 1806.07572; 'noise' is N(0, 1), so that no direction of the training set is
  preferred. On the circle (inputs=2) the test points have equally spaced angles, the first of them 0.

  Args:
    angles: the training points on the circle, in radians; none given, there are `train` random ones.

  Raises:
    ValueError: `angles` with more than two inputs.
  """
  if angles and inputs != 2:
    raise ValueError(f'angles are those of points on a circle, which has 2 inputs, not {inputs}')
  circle = 2 * np.pi * np.arange(test) / test if inputs == 2 else ()

  def points(key, n, angle):
    if len(angle):
      return radius * jnp.asarray(np.stack([np.cos(angle), np.sin(angle)], 1), jnp.float32)
    x = jax.random.normal(trees.named_key(key, 'x'), (n, inputs), jnp.float32)
    return radius * x / jnp.linalg.norm(x, axis=1, keepdims=True)

  def values(key, x: Array) -> Array:
    if target == 'noise':
      return jax.random.normal(trees.named_key(key, 'y'), (x.shape[0], 1), jnp.float32)
    return x[:, :1] * x[:, 1:2] / radius**2

  def examples(name, key, n, angle):
    x = points(trees.named_key(key, name), n, angle)
    return Batch(x, values(trees.named_key(key, name), x))

  def draw(key):
    return Data(examples('train', key, train, angles), examples('test', key, test, circle))

  return Task(draw, outputs=1)
