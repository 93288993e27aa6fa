"""Random splits of a table into training and test rows, and noise on its labels."""

import jax
import jax.numpy as jnp

from dynamics import trees
from dynamics.types import Array, Batch, Data, Key


def split(key: Key, table: Batch, train: int) -> Data:
  """`train` rows drawn without replacement, and the rest."""
  order = jax.random.permutation(trees.named_key(key, 'split'), table.y.shape[0])
  take = lambda rows: jax.tree.map(lambda leaf: leaf[rows], table)
  return Data(take(order[:train]), take(order[train:]))


def noisy(key: Key, labels: Array, classes: int, share) -> Array:
  """Labels (n,) of which a share is redrawn uniformly, the true class included."""
  key = trees.named_key(key, 'label_noise')
  redrawn = jax.random.randint(trees.named_key(key, 'label'), labels.shape, 0, classes, jnp.int32)
  flip = jax.random.uniform(trees.named_key(key, 'flip'), labels.shape, jnp.float32) < share
  return jnp.where(flip, redrawn, labels)
