"""Convolutional networks: on images, and one layer deep on patches with a second layer that stays as it is."""

from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from dynamics import contracts
from dynamics.components import component
from dynamics.models.mlp import ACTIVATIONS, Activation
from dynamics.schema import Range
from dynamics.types import Array


class Conv(nn.Module):
  """(n, height, width, c) images to (n, outputs)."""

  channels: tuple[int, ...]
  strides: tuple[int, ...]
  window: int
  outputs: int
  activation: Activation
  bias: bool

  @nn.compact
  def __call__(self, x: Array) -> Array:
    if x.ndim != 4:
      raise ValueError(f'a convolution reads images, (n, height, width, channels), but the inputs are {x.shape}: take flat=False')
    contracts.features(x, 'a convolution')
    for i, (channels, stride) in enumerate(zip(self.channels, self.strides, strict=True)):
      name = f'hidden_{i}' if i else 'input'
      window, strides = (self.window,) * 2, (stride,) * 2
      x = nn.Conv(channels, window, strides, use_bias=self.bias, dtype=x.dtype, name=name)(x)
      x = ACTIVATIONS[self.activation](x)
      self.sow('intermediates', f'after_{name}', x)
    return nn.Dense(self.outputs, self.bias, dtype=x.dtype, name='readout')(x.reshape((x.shape[0], -1)))


class Patchwise(nn.Module):
  """(n, p, d) patches to (n, 1)."""

  filters: int
  activation: Literal['squared_relu', 'relu']

  @nn.compact
  def __call__(self, x: Array) -> Array:
    if x.ndim != 3:
      raise ValueError(f'patchwise reads patches, (n, p, d), but the inputs are {x.shape}')
    contracts.features(x, 'patchwise')
    h = jax.nn.relu(nn.Dense(2 * self.filters, False, dtype=x.dtype, name='input')(x))
    h_nph = jnp.square(h) if self.activation == 'squared_relu' else h
    self.sow('intermediates', 'after_input', h_nph)
    positive, negative = jnp.split(jnp.sum(h_nph, axis=1), 2, axis=-1)
    return jnp.mean(positive - negative, axis=-1, keepdims=True)


@component()
def conv(
  outputs: int,
  vocabulary: int | None = None,
  *,
  channels: tuple[Range(int, least=1), ...] = (8, 16),
  strides: tuple[Range(int, least=1), ...] = (1, 2),
  window: Range(int, least=1) = 3,
  activation: Activation = 'relu',
  bias: bool = True,
) -> nn.Module:
  """Convolutions with square windows and zero padding, one for each of `channels`, and a dense readout of all positions.

  Raises:
    ValueError: strides that are not one for each of `channels`; at the first call, inputs that are no images.
  """
  if len(strides) != len(channels):
    raise ValueError(f'strides is {strides}; it must have one for each of the {len(channels)} channels')
  return Conv(channels, strides, window, outputs, activation, bias)


@component()
def patchwise(
  outputs: int,
  vocabulary: int | None = None,
  *,
  filters: Range(int, least=1) = 10,
  activation: Literal['squared_relu', 'relu'] = 'squared_relu',
) -> nn.Module:
  """f(x) = (1/m) sum_p [sum_j phi(<w_j, x_p>) - sum_j phi(<w'_j, x_p>)] with m = `filters` of either sign.

  The second layer, +-1/m, is not trained. The one leaf, input/kernel (d, 2 m), has the filters of sign + first.

  Raises:
    ValueError: more outputs than one; at the first call, inputs that are no patches.
  Source: 2310.17074.
  """
  if outputs != 1:
    raise ValueError(f'patchwise has one output, but the task has {outputs}')
  return Patchwise(filters, activation)
