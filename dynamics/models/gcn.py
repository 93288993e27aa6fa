"""Graph convolutions."""

import flax.linen as nn
import jax.numpy as jnp

from dynamics import contracts
from dynamics.activations import ACTIVATIONS, Activation
from dynamics.components import component
from dynamics.schema import Range
from dynamics.theory.message_passing import propagation
from dynamics.types import Array, Tree


class GCN(nn.Module):
  """{'nodes': (n, v, d), 'adjacency': (n, v, v)} to (n, outputs), or with `every` to (n, v, outputs)."""

  widths: tuple[int, ...]
  outputs: int
  activation: Activation
  bias: bool
  every: bool = False

  @nn.compact
  def __call__(self, x: Tree) -> Array:
    shapes = {name: leaf.shape for name, leaf in x.items()} if isinstance(x, dict) else None
    if not shapes or {*shapes} != {'nodes', 'adjacency'} or [len(shape) for shape in shapes.values()] != [3, 3]:
      raise ValueError(
        f"gcn reads graphs, {{'nodes': (n, v, d), 'adjacency': (n, v, v)}}, but the inputs are {contracts.described(x)}"
      )
    h_nvh, (n, v, _) = x['nodes'], shapes['nodes']
    if shapes['adjacency'] != (n, v, v):
      raise ValueError(f'gcn: {v} nodes in each of {n} graphs need an adjacency of {(n, v, v)}, but it is {shapes["adjacency"]}')
    contracts.features(h_nvh, 'gcn')
    passing_nvv = propagation(x['adjacency'].astype(h_nvh.dtype))
    for i, width in enumerate(self.widths):
      name = f'hidden_{i}' if i else 'input'
      h_nvh = nn.Dense(width, self.bias, dtype=h_nvh.dtype, name=name)(passing_nvv @ h_nvh)
      h_nvh = ACTIVATIONS[self.activation](h_nvh)
      self.sow('intermediates', f'after_{name}', h_nvh)
    last = passing_nvv @ h_nvh if self.every else jnp.mean(h_nvh, axis=1)
    return nn.Dense(self.outputs, self.bias, dtype=h_nvh.dtype, name='readout')(last)


@component(needs=('features',))
def gcn(
  outputs: int,
  vocabulary: int | None = None,
  *,
  widths: tuple[Range(int, least=1), ...] = (16, 16),
  activation: Activation = 'relu',
  bias: bool = True,
) -> nn.Module:
  """Graph convolutions, phi(P h W + b) with P = D^(-1/2) (A + I) D^(-1/2), and a readout of the mean over nodes.

  Inputs are a tree: nodes (n, v, d) of floats and adjacency (n, v, v), symmetric and not negative. Each example is a graph.

  Args:
    widths: of the graph convolutions.
    activation: after each of them.
    bias: of all layers.
    outputs: k.
    vocabulary: not used.

  Raises:
    ValueError: at the first call, inputs that are no such tree.
  Source: 1609.02907.
  """
  return GCN(widths, outputs, activation, bias)


@component(needs=('features',))
def node_gcn(
  outputs: int,
  vocabulary: int | None = None,
  *,
  widths: tuple[Range(int, least=1), ...] = (16,),
  activation: Activation = 'relu',
  bias: bool = True,
) -> nn.Module:
  """Graph convolutions with an answer at each node, (n, v, k): as `gcn`, with a graph convolution as readout, P h W + b.

  Inputs and fields are those of `gcn`. Labels are (n, v), as of positions: take the objective `next_token`.

  Raises:
    ValueError: at the first call, inputs that are no such tree.
  Source: 1609.02907, equation 9.
  """
  return GCN(widths, outputs, activation, bias, every=True)
