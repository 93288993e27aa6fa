"""Networks on coordinates: waves of a few numbers."""

import math
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from dynamics import contracts
from dynamics.activations import ACTIVATIONS
from dynamics.components import component
from dynamics.schema import Range
from dynamics.types import Array


class Coordinates(nn.Module):
  """(n, d) floats to (n, outputs)."""

  widths: tuple[int, ...]
  outputs: int
  features: Literal['sine', 'fourier', 'none']
  frequency: float
  waves: int

  @nn.compact
  def __call__(self, x: Array) -> Array:
    contracts.features(x, 'a coordinate network')
    h = x.reshape((x.shape[0], -1))
    if self.features == 'fourier':
      draw = lambda: self.frequency * jax.random.normal(self.make_rng('params'), (h.shape[-1], self.waves), jnp.float32)
      phases = 2 * jnp.pi * h @ self.variable('waves', 'frequencies', draw).value.astype(h.dtype)
      h = jnp.concatenate([jnp.cos(phases), jnp.sin(phases)], axis=-1)
    sine = self.features == 'sine'
    for i, width in enumerate((*self.widths, self.outputs)):
      name = 'readout' if i == len(self.widths) else f'hidden_{i}' if i else 'input'
      start = _uniform(i == 0, self.frequency) if sine else nn.initializers.lecun_normal()
      h = nn.Dense(width, dtype=h.dtype, kernel_init=start, name=name)(h)
      if name != 'readout':
        h = jnp.sin(jnp.asarray(self.frequency, h.dtype) * h) if sine else ACTIVATIONS['relu'](h)
        self.sow('intermediates', f'after_{name}', h)
    return h


def _uniform(first: bool, frequency: float):
  """1/d in the first layer and sqrt(6/fan_in)/frequency after it are the bounds. Source: 2006.09661, section 3.2."""

  def draw(key, shape, dtype=jnp.float32):
    bound = 1 / shape[0] if first else math.sqrt(6 / shape[0]) / frequency
    return jax.random.uniform(key, shape, dtype, -bound, bound)

  return draw


@component(needs=('features',))
def coordinates(
  outputs: int,
  vocabulary: int | None = None,
  *,
  widths: tuple[Range(int, least=1), ...] = (64, 64),
  features: Literal['sine', 'fourier', 'none'] = 'sine',
  frequency: Range(float, above=0.0) = 30.0,
  waves: Range(int, least=1) = 64,
) -> nn.Module:
  """A network on coordinates, (n, d) of about -1 to 1, for functions with fine detail.

  Args:
    widths: of the hidden layers.
    features: 'sine' has sin(frequency (W x + b)) in all hidden layers, and starts as its source does (2006.09661). 'fourier'
      is a relu network on cos(2 pi B x) and sin(2 pi B x), with B of iid normal entries that is drawn at the start and stays;
      it is variables['waves'] (2006.10739). 'none' is the relu network on x itself.
    frequency: of 'sine', the factor of every phase; of 'fourier', the standard deviation of B in waves per unit of x.
    waves: of 'fourier', the number of columns of B: the first layer reads twice as many inputs.
    outputs: k.
    vocabulary: not used.

  Raises:
    ValueError: at the first call, inputs of whole numbers.
  Source: 2006.09661, 2006.10739.
  """
  return Coordinates(widths, outputs, features, frequency, waves)
