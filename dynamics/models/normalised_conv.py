"""Convolutional networks that are normalised after every convolution, over batches, over groups of channels, or both."""

from typing import Literal

import flax.linen as nn
import jax.numpy as jnp

from dynamics import contracts
from dynamics.activations import ACTIVATIONS, Activation
from dynamics.components import component
from dynamics.models.norm import EPSILON, GhostNorm, RunningNorm
from dynamics.schema import Range
from dynamics.types import Array

Norm = Literal['none', 'batch', 'group', 'batch_channel']


class NormalisedConv(nn.Module):
  """(n, height, width, c) images to (n, outputs)."""

  channels: tuple[int, ...]
  strides: tuple[int, ...]
  window: int
  outputs: int
  activation: Activation
  norm: Norm
  groups: int
  rate: float

  @nn.compact
  def __call__(self, x: Array, train: bool = False) -> Array:
    if x.ndim != 4:
      raise ValueError(f'a convolution reads images, (n, height, width, channels), but the inputs are {x.shape}: take flat=False')
    contracts.features(x, 'a convolution')
    for i, (channels, stride) in enumerate(zip(self.channels, self.strides, strict=True)):
      name = f'hidden_{i}' if i else 'input'
      window, strides = (self.window,) * 2, (stride,) * 2
      x = nn.Conv(channels, window, strides, use_bias=self.norm == 'none', dtype=x.dtype, name=name)(x)
      x = ACTIVATIONS[self.activation](self._normalised(x, f'{name}_norm', train))
      self.sow('intermediates', f'after_{name}', x)
    return nn.Dense(self.outputs, dtype=x.dtype, name='readout')(jnp.mean(x, axis=(1, 2)))

  def _normalised(self, x: Array, name: str, train: bool) -> Array:
    if self.norm in ('batch', 'batch_channel'):  # every place of an image is a row
      layer = GhostNorm(0, self.rate, name=name) if self.norm == 'batch' else RunningNorm(self.rate, name=name)
      x = layer(x.reshape((-1, x.shape[-1])), train).reshape(x.shape)
    if self.norm in ('group', 'batch_channel'):
      suffix = '_channels' if self.norm == 'batch_channel' else ''
      x = nn.GroupNorm(self.groups, epsilon=EPSILON, dtype=x.dtype, name=name + suffix)(x)
    return x


@component()
def normalised_conv(
  outputs: int,
  vocabulary: int | None = None,
  *,
  channels: tuple[Range(int, least=1), ...] = (16, 16),
  strides: tuple[Range(int, least=1), ...] = (1, 2),
  window: Range(int, least=1) = 3,
  activation: Activation = 'relu',
  norm: Norm = 'group',
  groups: Range(int, least=1) = 4,
  rate: Range(float, above=0.0, most=1.0) = 0.1,
) -> nn.Module:
  """Convolutions with square windows and zero padding, each normalised before its activation; a dense readout of their mean.

  Args:
    channels: of each convolution.
    strides: of each convolution.
    window: of the convolutions.
    activation: after each normalisation.
    norm: 'batch' over the batch and all places; 'group' over the channels of a group and all places of one example;
      'batch_channel' by running statistics of each channel, in training too, and then as 'group', which leaves no example to
      see another and suits batches of one or two; 'none' leaves it out, and convolutions then have biases.
    groups: of channels, for 'group' and 'batch_channel'.
    rate: eta, the weight of the newest statistic in the running ones.
    outputs: k.
    vocabulary: not used.

  Raises:
    ValueError: strides that are not one for each of `channels`, or channels that are no multiple of `groups`; at the first call,
      inputs that are no images.
  Source: 1803.08494 (groups), 1903.10520 (batch-channel normalisation, the form for micro-batches).
  """
  if len(strides) != len(channels):
    raise ValueError(f'strides is {strides}; it must have one for each of the {len(channels)} channels')
  if norm in ('group', 'batch_channel') and any(count % groups for count in channels):
    raise ValueError(f'model.groups is {groups}, which does not divide channels {channels}')
  return NormalisedConv(channels, strides, window, outputs, activation, norm, groups, rate)
