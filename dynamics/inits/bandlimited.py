"""Random features of a bounded band: directions in a ball, and shifts in an interval."""

import jax
import jax.numpy as jnp

from dynamics import trees
from dynamics.components import component
from dynamics.inits import distributions
from dynamics.inits.independent import Init, Scale
from dynamics.leaves import from_matrices, map_leaves, matrix_shape, weights
from dynamics.schema import Traced
from dynamics.types import Array, Key


@component()
def bandlimited(*, band: Traced(least=0.0) = 1.0, bias_band: Traced(least=0.0) = 1.0, init_scale: Scale = 1.0) -> Init:
  """Weights into every hidden unit uniform in the ball |w| <= band, and biases in [-bias_band, bias_band].

  Weights of output layers are N(0, init_scale^2 / fan_in), and the biases after the last hidden layer are 0. E|w|^2 is
  band^2 d / (d + 2) for d inputs. With frozen hidden layers the error of a target whose spectrum exceeds the band has a bound
  from below at any width.

  Source: 2008.08427 (hidden parameters from a bounded domain).
  """

  def init(key, leaves, data):
    depths = [leaf.depth for leaf in weights(leaves) if leaf.role == 'output']
    readout = min(depths, default=float('inf'))

    def place(leaf):
      own = trees.named_key(key, leaf.name)
      if leaf.role == 'scale':
        return jnp.ones(leaf.shape, leaf.dtype)
      if leaf.role == 'bias':
        size = jnp.asarray(bias_band if leaf.depth < readout else 0, jnp.float32)
        return jax.random.uniform(own, leaf.shape, leaf.dtype, -1, 1) * size.astype(leaf.dtype)
      if leaf.role == 'output':
        size = jnp.asarray(init_scale, jnp.float32) * leaf.fan_in**-0.5
        return distributions.gaussian(own, leaf) * size.astype(leaf.dtype)
      columns = jnp.asarray(band, jnp.float32) * in_ball(own, *matrix_shape(leaf))
      return from_matrices(leaf, columns).astype(leaf.dtype)

    return map_leaves(place, leaves)

  return init


def in_ball(key: Key, copies: int, rows: int, columns: int) -> Array:
  """(copies, rows, columns) whose columns are uniform in the unit ball."""
  direction, radius = jax.random.split(key)
  v = jax.random.normal(direction, (copies, rows, columns), jnp.float32)
  r = jax.random.uniform(radius, (copies, 1, columns), jnp.float32) ** jnp.float32(1 / rows)
  return r * v / jnp.sqrt(jnp.sum(jnp.square(v), axis=1, keepdims=True))
