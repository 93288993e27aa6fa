"""Inits of graph networks, from the graph that messages pass along."""

import itertools
from typing import Literal

import jax
import jax.numpy as jnp

from dynamics.components import component
from dynamics.inits import distributions
from dynamics.inits.independent import Init, Scale, filled
from dynamics.leaves import weights
from dynamics.theory import message_passing


@component()
def virgo(*, variant: Literal['harmonic', 'forward', 'backward'] = 'harmonic', init_scale: Scale = 1.0) -> Init:
  """Uniform weights whose variances keep the sizes of hidden values or of gradients from layer to layer, by the training graphs.

  Args:
    variant: 'forward' keeps the variance of hidden values, 'backward' that of gradients; 'harmonic' is the harmonic mean of both
      variances, a layer.
    init_scale: multiplies all weights.

  Raises:
    ValueError: in the init: inputs that are no graphs; a model that does not answer at each node, or whose weights are no chain
      from features to classes; outside of traces, features that are carried to 0.
  Source: 2312.02622.
  """

  def init(key, leaves, data, *, model):
    nodes, adjacency = graphs(data)
    layers = weights(leaves)
    answers = jax.eval_shape(lambda: model.apply(model.init(key, data), data.train.x)).shape
    chained = all(a.fan_out == b.fan_in for a, b in itertools.pairwise(layers))
    if len(answers) != 3 or not chained or layers[0].fan_in != nodes.shape[-1]:
      text = ', '.join(f'{leaf.name} {leaf.shape}' for leaf in layers)
      raise ValueError(
        f'virgo needs a chain of graph convolutions with an answer at each node, such as node_gcn, but the model gives {answers} '
        f'by {text}'
      )
    widths = (layers[0].fan_in, *(leaf.fan_out for leaf in layers))
    variances = getattr(message_passing.virgo(adjacency, nodes, widths), variant)
    size = jnp.asarray(init_scale, jnp.float32) * jnp.sqrt(variances)
    size_of = {leaf.name: size[i] for i, leaf in enumerate(layers)}
    return filled(lambda key, leaf: distributions.uniform(key, leaf) * size_of[leaf.name].astype(leaf.dtype), key, leaves)

  return init


def graphs(data) -> tuple[jax.Array, jax.Array]:
  """(n, v, d) features and (n, v, v) adjacency of the training inputs.

  Raises:
    ValueError: no data, or other inputs.
  """
  x = None if data is None else data.train.x
  if not isinstance(x, dict) or {*x} != {'nodes', 'adjacency'}:
    what = 'there are no data' if data is None else f'the inputs are {jax.tree.map(jnp.shape, x)}'
    raise ValueError(f"virgo looks at graphs, {{'nodes': (n, v, d), 'adjacency': (n, v, v)}}, but {what}")
  return x['nodes'], x['adjacency']
