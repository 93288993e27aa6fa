"""Linear tasks on whitened inputs whose singular values are known: what deep linear networks are studied on (1312.6120).

There are as many examples as inputs, x_i = sqrt(n) e_i, so that the mean of x x^T is the identity and the correlation
Sigma^31 = (1/n) sum y x^T is the linear map itself. Training and test examples are the same.
"""

import jax.numpy as jnp
import numpy as np

from dynamics import trees
from dynamics.components import component
from dynamics.random import random_orthonormal
from dynamics.schema import Range
from dynamics.types import Array, Batch, Data, Task


@component()
def linear_map(
  *,
  singular: tuple[Range(float, least=0.0), ...] = (4.0, 3.0, 2.0, 1.0),
  inputs: Range(int, least=1) = 16,
  outputs: Range(int, least=1) = 16,
) -> Task:
  """A linear map of given singular values between random directions. x: (inputs, inputs); y: (inputs, outputs) floats.

  Raises:
    ValueError: more singular values than inputs or outputs, or none.
  Source: 1312.6120.
  """
  r = len(singular)
  if not 0 < r <= min(inputs, outputs):
    raise ValueError(f'singular has {r} values; it must have 1 to {min(inputs, outputs)}, the smaller of inputs and outputs')

  def draw(key):
    u = random_orthonormal(trees.named_key(key, 'outputs'), outputs, r)
    v = random_orthonormal(trees.named_key(key, 'inputs'), inputs, r)
    return _whitened((v * jnp.asarray(singular, jnp.float32)[None]) @ u.T * inputs**0.5)

  return Task(draw, outputs=outputs)


@component()
def hierarchy(*, branches: Range(int, least=2) = 2, levels: Range(int, least=1, most=12) = 3) -> Task:
  """Items at the leaves of a tree, and a property for each of its nodes: an item has those of all nodes above it.

  x: (n, n) for n = branches^levels items; y: (n, k) of 0 and 1 for the k = 1 + branches + ... + branches^levels nodes,
  root first. Each split of the tree is a mode. Those of level j (0 at the root) are branches^j (branches - 1) many, with
  singular value sqrt((m - 1) / (branches - 1) / n), m = branches^(levels - j) being the items below the split; the root
  alone is one more, with sqrt((n branches - 1) / (branches - 1) / n). So a linear network learns from the top down.

  Nothing is drawn: all keys give the same data.

  Raises:
    ValueError: more than 10,000 items.
  Source: 1312.6120 (hierarchical structure), in the deterministic form of one property a node.
  """
  n = branches**levels
  if n > 10_000:
    raise ValueError(
      f'{branches} branches at {levels} levels are {n:,} items, whose table has as many columns; 10,000 are the most'
    )
  item = np.arange(n)
  has = [item[:, None] // branches ** (levels - j) == np.arange(branches**j)[None] for j in range(levels + 1)]
  y = np.concatenate(has, axis=1).astype(np.float32)

  def draw(key):
    return _whitened(jnp.asarray(y))

  return Task(draw, outputs=y.shape[1])


def _whitened(y: Array) -> Data:
  n = y.shape[0]
  examples = Batch(n**0.5 * jnp.eye(n, dtype=jnp.float32), y)
  return Data(examples, examples)
