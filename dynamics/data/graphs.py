"""Graphs whose nodes are to be classified: the labels of some are seen, those of the others are asked for."""

import math
from typing import Literal

import jax
import jax.numpy as jnp

from dynamics import trees
from dynamics.components import component
from dynamics.schema import Range
from dynamics.types import Array, Batch, Data, Key, Task

RATE = 0.25  # of ones among the features
HIDDEN = -1  # the label of a node that does not count


@component()
def graphs(
  *,
  kind: Literal['blocks', 'attachment'] = 'blocks',
  number: Range(int, least=1) = 2,
  nodes: Range(int, least=4) = 300,
  classes: Range(int, least=2) = 4,
  degree: Range(int, least=2) = 8,
  homophily: Range(float, above=0.0, below=1.0) = 0.8,
  inputs: Range(int, least=1) = 32,
  signal: Range(float, least=0.0, most=1.0) = 0.2,
  train: Range(int, least=1) = 40,
) -> Task:
  """x: {'nodes': (n, v, d) of 0 and 1, 'adjacency': (n, v, v) of 0 and 1, symmetric}; y: (n, v) classes, -1 where not asked for.

  Node classification on graphs that are known whole: training and test set have the same graphs, and differ in the nodes that
  have a label. With `node_gcn` and the objective `next_token`, which leaves out labels of -1.

  Args:
    kind: 'blocks', a stochastic block model, in which nodes of one class are joined with one probability and all others with
      another; 'attachment', in which nodes come one after the other and join degree / 2 earlier ones, in proportion to their
      degrees and by class, so that degrees have a heavy tail. A node without an edge is joined to the next.
    number: n, of graphs.
    nodes: v.
    classes: of equal size, up to one node.
    degree: the mean number of edges of a node, about.
    homophily: the share of edges within a class, about.
    inputs: d.
    signal: an entry is 1 with probability (1 + signal) / 4 or (1 - signal) / 4, as each class has it for each input.
    train: nodes of each graph whose labels are seen.

  Raises:
    ValueError: no nodes left to ask for; classes smaller than the neighbours that a node has in its own.
  Source: Holland et al. 1983 (blocks), Barabasi and Albert 1999 (attachment); 2312.02622 (what they are for).
  """
  if train >= nodes:
    raise ValueError(f'train is {train} of {nodes} nodes: take {nodes - 1} at most, so that some are left to ask for')
  if homophily * degree > nodes / classes - 1:
    raise ValueError(
      f'degree {degree} and homophily {homophily:g} ask for {homophily * degree:g} neighbours in a class of '
      f'{nodes / classes:g} nodes: take more nodes'
    )

  def graph(key, rates):
    part = lambda name: trees.named_key(key, name)
    label = jax.random.permutation(part('classes'), jnp.arange(nodes, dtype=jnp.int32) % classes)
    same = label[:, None] == label[None]
    draw = {'blocks': _blocks, 'attachment': _attachment}[kind]
    x = jax.random.uniform(part('features'), (nodes, inputs), jnp.float32) < rates[label]
    seen = jax.random.permutation(part('split'), jnp.arange(nodes)) < train
    return x.astype(jnp.float32), draw(part('edges'), same, classes, degree, homophily), label, seen

  def draw(key):
    sign = jax.random.rademacher(trees.named_key(key, 'rates'), (classes, inputs), jnp.float32)
    keys = jax.random.split(trees.named_key(key, 'graphs'), number)
    x, adjacency, label, seen = jax.lax.map(lambda key: graph(key, RATE * (1 + signal * sign)), keys)
    known = {'nodes': x, 'adjacency': adjacency}
    asked = lambda chosen: Batch(known, jnp.where(chosen, label, HIDDEN))
    return Data(asked(seen), asked(~seen))

  return Task(draw, outputs=classes)


def _blocks(key: Key, same: Array, classes: int, degree: int, homophily: float) -> Array:
  v = same.shape[0]
  within, between = homophily * degree / (v / classes - 1), (1 - homophily) * degree / (v - v / classes)
  drawn = jax.random.uniform(key, (v, v), jnp.float32) < jnp.where(same, within, between)
  edges = jnp.triu(drawn, 1).astype(jnp.float32)
  edges = edges + edges.T
  alone = (jnp.sum(edges, axis=1) == 0).astype(jnp.float32)
  to_next = alone[:, None] * jnp.roll(jnp.eye(v, dtype=jnp.float32), 1, axis=1)
  return jnp.maximum(edges, jnp.maximum(to_next, to_next.T))


def _attachment(key: Key, same: Array, classes: int, degree: int, homophily: float) -> Array:
  """The keys of a draw without replacement in proportion to weights are log weight + Gumbel noise, of which the largest count."""
  v, edges_each = same.shape[0], degree // 2
  affinity = jnp.where(same, math.log(homophily), math.log((1 - homophily) / (classes - 1)))
  noise = jax.random.gumbel(key, (v, v), jnp.float32)

  def join(i, edges):
    weight = jnp.log(jnp.maximum(jnp.sum(edges, axis=1), 1)) + affinity[i]
    score, chosen = jax.lax.top_k(jnp.where(jnp.arange(v) < i, weight + noise[i], -jnp.inf), min(edges_each, v))
    row = jnp.zeros(v, jnp.float32).at[chosen].set((score > -jnp.inf).astype(jnp.float32))
    return jnp.maximum(edges, jnp.maximum(edges.at[i].set(row), edges.at[:, i].set(row)))

  return jax.lax.fori_loop(1, v, join, jnp.zeros((v, v), jnp.float32))
