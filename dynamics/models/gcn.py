"""Graph convolutions."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from dynamics import contracts
from dynamics.activations import ACTIVATIONS, Activation
from dynamics.components import component
from dynamics.schema import Range
from dynamics.types import Array, Tree


class GCN(nn.Module):
  """{'nodes': (n, v, d), 'adjacency': (n, v, v)} to (n, outputs)."""

  widths: tuple[int, ...]
  outputs: int
  activation: Activation
  bias: bool

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
    return nn.Dense(self.outputs, self.bias, dtype=h_nvh.dtype, name='readout')(jnp.mean(h_nvh, axis=1))


def propagation(adjacency_nvv: Array) -> Array:
  """D^(-1/2) (A + I) D^(-1/2) with D the degrees of A + I, (n, v, v). Source: 1609.02907, equation 2."""
  looped = adjacency_nvv + jnp.eye(adjacency_nvv.shape[-1], dtype=adjacency_nvv.dtype)[None]
  scale_nv = jax.lax.rsqrt(jnp.sum(looped, axis=-1))
  return scale_nv[:, :, None] * looped * scale_nv[:, None, :]


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
