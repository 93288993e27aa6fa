"""Dense networks on features, and on tokens as if each were a one-hot vector."""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp

from dynamics import contracts
from dynamics.activations import ACTIVATIONS, Activation
from dynamics.components import component
from dynamics.models.norm import GhostNorm
from dynamics.schema import Range
from dynamics.types import Array


class MLP(nn.Module):
  """(n, d) floats, or (n, l) tokens below `vocabulary`, to (n, outputs).

  Tokens stand for the sum of their one-hot vectors, so the first layer is the sum of l rows of a (vocabulary, width)
  kernel: the same function as the product with the (n, vocabulary) matrix, which is never formed in the forward pass.
  `norm` normalises what goes into each activation.
  """

  widths: tuple[int, ...]
  outputs: int
  activation: Activation = 'relu'
  bias: bool = True
  vocabulary: int | None = None
  norm: Callable[..., nn.Module] | None = None

  @nn.compact
  def __call__(self, x: Array, train: bool = False) -> Array:
    for i, width in enumerate((*self.widths, self.outputs)):
      name = 'readout' if i == len(self.widths) else f'hidden_{i}' if i else 'input'
      bias = self.bias and (name == 'readout' or not self.norm)  # a mean that is taken off leaves none
      if jnp.issubdtype(x.dtype, jnp.integer):
        contracts.tokens(x, self.vocabulary, 'an mlp')
        x = RowSum(self.vocabulary, width, bias, name=name)(x)
      else:
        x = x.reshape((x.shape[0], -1)) if x.ndim != 2 else x
        x = nn.Dense(width, bias, dtype=x.dtype, name=name)(x)
      if name != 'readout':
        x = self.norm(name=f'{name}_norm')(x, train) if self.norm else x
        x = ACTIVATIONS[self.activation](x)
        self.sow('intermediates', f'after_{name}', x)
    return x


class RowSum(nn.Module):
  """A dense layer on the sum of one-hot vectors: (n, l) tokens to (n, features)."""

  vocabulary: int
  features: int
  bias: bool

  @nn.compact
  def __call__(self, tokens: Array) -> Array:
    kernel = self.param('kernel', nn.initializers.lecun_normal(), (self.vocabulary, self.features), jnp.float32)
    out = sum_rows(kernel, tokens)
    return out + self.param('bias', nn.initializers.zeros, (self.features,), jnp.float32)[None] if self.bias else out


def sum_rows(kernel: Array, tokens: Array) -> Array:
  """sum_l kernel[tokens[:, l]]: (v, h), (n, l) -> (n, h)."""
  return jnp.sum(kernel[tokens], axis=1)


@component()
def mlp(
  outputs: int,
  vocabulary: int | None = None,
  *,
  widths: tuple[Range(int, least=1), ...] = (64,),
  activation: Activation = 'relu',
  bias: bool = True,
) -> nn.Module:
  """A dense network with hidden layers of these widths."""
  return MLP(widths, outputs, activation, bias, vocabulary)


@component()
def normalised_mlp(
  outputs: int,
  vocabulary: int | None = None,
  *,
  widths: tuple[Range(int, least=1), ...] = (64,),
  activation: Activation = 'relu',
  ghost: Range(int, least=0) = 0,
  rate: Range(float, above=0.0, most=1.0) = 0.1,
) -> nn.Module:
  """A dense network whose hidden layers are normalised over the batch, before their activation.

  Args:
    widths: of the hidden layers.
    activation: after each of them.
    ghost: examples that are normalised together; 0 is the whole batch. Source: 1705.08741 (ghost batch normalisation).
    rate: eta, the weight of the newest statistic in the running ones that evaluation uses.
    outputs: k.
    vocabulary: of tokens.
  """
  return MLP(widths, outputs, activation, True, vocabulary, functools.partial(GhostNorm, ghost, rate))


@component()
def linear(
  outputs: int, vocabulary: int | None = None, *, widths: tuple[Range(int, least=1), ...] = (), bias: bool = False
) -> nn.Module:
  """A linear network: a product of matrices, one for no hidden widths."""
  return MLP(widths, outputs, 'identity', bias, vocabulary)
