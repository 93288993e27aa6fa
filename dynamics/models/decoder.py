"""A language model: a causal transformer that answers at every position."""

import flax.linen as nn

from dynamics.components import component
from dynamics.models.mlp import Activation
from dynamics.models.transformer import Transformer
from dynamics.schema import Range


@component()
def decoder(
  outputs: int,
  vocabulary: int | None = None,
  *,
  layers: Range(int, least=1, most=1000) = 2,
  width: Range(int, least=1) = 64,
  heads: Range(int, least=1) = 4,
  expansion: Range(int, least=1) = 4,
  activation: Activation = 'gelu',
) -> nn.Module:
  """A decoder-only transformer: (n, l) tokens, or (n, l, d) features, to (n, l, k), an answer at every position.

  Layer norms come before each branch and before the readout, positions are learned, and position i sees 0..i alone.

  Args:
    layers: each of attention and a dense branch.
    width: d of the residual stream.
    heads: of attention.
    expansion: the hidden units of a dense branch are this many times `width`.
    activation: of the dense branches.
    outputs: k.
    vocabulary: of tokens.

  Raises:
    ValueError: a width that the heads do not divide.
  Source: 2002.04745 (pre-norm).
  """
  if width % heads:
    raise ValueError(f'width is {width}, which {heads} heads do not divide; take a multiple of heads')
  return Transformer(layers, width, heads, expansion, outputs, activation, 'pre', True, vocabulary, every=True)
