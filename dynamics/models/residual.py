"""Residual networks of dense or convolutional layers, with pre-activation blocks."""

import functools
from collections.abc import Callable
from typing import Literal

import flax.linen as nn
import jax.numpy as jnp

from dynamics import contracts
from dynamics.activations import ACTIVATIONS, Activation
from dynamics.components import component
from dynamics.schema import Range
from dynamics.types import Array

Layers = Callable[..., nn.Module]  # (features, use_bias=, dtype=, name=) -> a layer


class Block(nn.Module):
  """h + multiplier * branch(h); the branch is `layers` times normalisation, activation, layer."""

  layers: int
  multiplier: float
  activation: Activation
  norm: Literal['none', 'layer']
  bias: bool
  layer: Layers

  @nn.compact
  def __call__(self, h: Array) -> Array:
    branch = h
    for i in range(self.layers):
      branch = nn.LayerNorm(dtype=h.dtype, name=f'norm_{i}')(branch) if self.norm == 'layer' else branch
      branch = ACTIVATIONS[self.activation](branch)
      branch = self.layer(h.shape[-1], use_bias=self.bias, dtype=h.dtype, name=f'layer_{i}')(branch)
    return h + jnp.asarray(self.multiplier, h.dtype) * branch


class Residual(nn.Module):
  """(n, ...) floats, or images (n, height, width, c) where `window` is not 0, to (n, outputs)."""

  depth: int
  width: int
  outputs: int
  layers: int = 1
  multiplier: float = 1.0
  window: int = 0
  activation: Activation = 'relu'
  norm: Literal['none', 'layer'] = 'none'
  bias: bool = True
  stacked: bool = False

  @nn.compact
  def __call__(self, x: Array) -> Array:
    contracts.features(x, 'a residual network')
    if self.window and x.ndim != 4:
      raise ValueError(
        f'a convolution reads images, (n, height, width, channels), but the inputs are {x.shape}: take flat=False, or window=0'
      )
    layer = functools.partial(nn.Conv, kernel_size=(self.window,) * 2) if self.window else nn.Dense
    x = x if self.window else x.reshape((x.shape[0], -1))
    h = layer(self.width, use_bias=self.bias, dtype=x.dtype, name='input')(x)
    self.sow('intermediates', 'after_input', h)
    fields = (self.layers, self.multiplier, self.activation, self.norm, self.bias, layer)
    for i, after in enumerate(self._stacked(h, fields) if self.stacked else self._unrolled(h, fields)):
      self.sow('intermediates', f'after_block_{i}', after)
      h = after
    h = nn.LayerNorm(dtype=h.dtype, name='norm')(h) if self.norm == 'layer' else h
    h = ACTIVATIONS[self.activation](h)
    h = jnp.mean(h, axis=(1, 2)) if self.window else h
    return nn.Dense(self.outputs, self.bias, dtype=h.dtype, name='readout')(h)

  def _unrolled(self, h: Array, fields) -> list[Array]:
    states = []
    for i in range(self.depth):
      h = Block(*fields, name=f'block_{i}')(h)
      states.append(h)
    return states

  def _stacked(self, h: Array, fields) -> list[Array]:
    """One scan over blocks whose parameters lie along a first axis."""
    step = lambda block, h: (block(h),) * 2
    scan = nn.scan(step, variable_axes={'params': 0}, split_rngs={'params': True}, length=self.depth)
    _, states = scan(Block(*fields, name='blocks'), h)
    return list(states)


@component(needs=('features',))
def residual(
  outputs: int,
  vocabulary: int | None = None,
  *,
  depth: Range(int, least=1) = 4,
  width: Range(int, least=1) = 64,
  layers: Range(int, least=1) = 1,
  multiplier: Range(float) = 1.0,
  window: Range(int, least=0) = 0,
  activation: Activation = 'relu',
  norm: Literal['none', 'layer'] = 'none',
  bias: bool = True,
  stacked: bool = False,
) -> nn.Module:
  """A residual network with pre-activation blocks: h + multiplier W phi(... W phi(norm h)), after a first layer.

  The readout acts on phi(norm h), of convolutions on its mean over positions. Features are `after_input` and `after_block_i`.

  Args:
    depth: number of blocks.
    width: of every layer: hidden units, or channels.
    layers: in each block.
    multiplier: of each branch. 1 / sqrt(depth) keeps the size of h at every depth; the transform `depth_mup` does that too.
    window: of the convolutions, which are square with zero padding; 0 is dense layers on flattened inputs.
    activation: before each layer of a block, and before the readout.
    norm: before each of those activations; 'none' leaves it out.
    bias: of all layers.
    stacked: the same function with the parameters of all blocks in one array, (depth, ...), and one scan over them, which
      compiles in a time that does not grow with depth. Probes of leaves then read all blocks as one leaf.
    outputs: k.
    vocabulary: not used.

  Raises:
    ValueError: at the first call, inputs of whole numbers, or with a window inputs that are no images.
  Source: 1603.05027.
  """
  return Residual(depth, width, outputs, layers, multiplier, window, activation, norm, bias, stacked)
