"""A plain encoder: learned positions, no dropout, every projection a two-dimensional kernel."""

from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from dynamics import contracts
from dynamics.components import component
from dynamics.models.mlp import ACTIVATIONS, Activation
from dynamics.schema import Range
from dynamics.types import Array


class Attention(nn.Module):
  """Softmax attention of (n, l, d) over itself with `heads` heads; causal or not."""

  heads: int
  causal: bool

  @nn.compact
  def __call__(self, x: Array) -> Array:
    n, l, d = x.shape
    split = lambda name: nn.Dense(d, False, dtype=x.dtype, name=name)(x).reshape(n, l, self.heads, d // self.heads)
    q_nlhc, k_nlhc, v_nlhc = split('query'), split('key'), split('value')
    scores_nhlm = jnp.einsum('nlhc,nmhc->nhlm', q_nlhc, k_nlhc) * (d // self.heads) ** -0.5
    if self.causal:
      scores_nhlm = jnp.where(jnp.tril(jnp.ones((l, l), bool))[None, None], scores_nhlm, -jnp.inf)
    mixed = jnp.einsum('nhlm,nmhc->nlhc', jax.nn.softmax(scores_nhlm, axis=-1), v_nlhc)
    return nn.Dense(d, False, dtype=x.dtype, name='merge')(mixed.reshape(n, l, d))


class Transformer(nn.Module):
  """(n, l) tokens below `vocabulary`, or (n, l, d) features, to (n, outputs), read at the last position.

  With `every` to (n, l, outputs), read at every position.
  """

  layers: int
  width: int
  heads: int
  expansion: int
  outputs: int
  activation: Activation
  norm: Literal['none', 'pre', 'post']
  causal: bool
  vocabulary: int | None = None
  every: bool = False

  @nn.compact
  def __call__(self, x: Array) -> Array:
    if jnp.issubdtype(x.dtype, jnp.integer):
      contracts.tokens(x, self.vocabulary, 'a transformer')
      x = nn.Embed(self.vocabulary, self.width, name='input')(x)
    else:
      x = nn.Dense(self.width, False, dtype=x.dtype, name='input')(x)
    positions = self.param('position_embedding', nn.initializers.normal(1.0), (x.shape[1], self.width), jnp.float32)
    x = x + positions[None]
    for i in range(self.layers):
      x = self._residual(f'hidden_{i}_attention', x, Attention(self.heads, self.causal, name=f'hidden_{i}_attention'))
      x = self._residual(f'hidden_{i}_dense', x, lambda y, i=i: self._dense(i, y))
      self.sow('intermediates', f'after_hidden_{i}', x)
    if self.norm == 'pre':
      x = nn.LayerNorm(name='norm_final')(x)
    return nn.Dense(self.outputs, False, dtype=x.dtype, name='readout')(x if self.every else x[:, -1])

  def _residual(self, name, x, branch):
    y = nn.LayerNorm(name=f'{name}_norm')(x) if self.norm == 'pre' else x
    x = x + branch(y)
    return nn.LayerNorm(name=f'{name}_norm')(x) if self.norm == 'post' else x

  def _dense(self, i, y):
    y = nn.Dense(self.expansion * self.width, dtype=y.dtype, name=f'hidden_{i}_up')(y)
    return nn.Dense(self.width, dtype=y.dtype, name=f'hidden_{i}_down')(ACTIVATIONS[self.activation](y))


@component()
def transformer(
  outputs: int,
  vocabulary: int | None = None,
  *,
  layers: Range(int, least=1, most=1000) = 1,
  width: Range(int, least=1) = 128,
  heads: Range(int, least=1) = 4,
  expansion: Range(int, least=1) = 4,
  activation: Activation = 'relu',
  norm: Literal['none', 'pre', 'post'] = 'post',
  causal: bool = False,
) -> nn.Module:
  """An encoder of 1 to n layers.

  Raises:
    ValueError: a width that the heads do not divide.
  """
  if width % heads:
    raise ValueError(f'width is {width}, which {heads} heads do not divide; take a multiple of heads')
  return Transformer(layers, width, heads, expansion, outputs, activation, norm, causal, vocabulary)
