"""Directions of the inputs and outputs of a training set, along which an init may lay its weights."""

import jax
import jax.numpy as jnp

from dynamics import contracts
from dynamics.linalg import dense
from dynamics.types import Array, Batch


def correlation(examples: Batch, outputs: int) -> tuple[Array, Array, Array]:
  """U (k, r), s (r,), V (d, r) of U S V^T = (1/n) sum y x^T, r = min(k, d).

  Labels count as one-hot vectors of k = `outputs` entries, or as -1 and 1 where k is 1. Inputs with more than one axis are
  flattened.

  Raises:
    ValueError: inputs that are tokens.
  Source: 1312.6120 (Sigma^31).
  """
  x, y = features(examples), examples.y
  if jnp.issubdtype(y.dtype, jnp.integer):
    y = jax.nn.one_hot(y, outputs, dtype=jnp.float32) if outputs > 1 else (2 * y.astype(jnp.int32) - 1)[:, None]
  u, s, vt = dense.svd(y.T.astype(jnp.float32) @ x / x.shape[0])
  return u, s, vt.T


def principal(examples: Batch) -> Array:
  """The principal axes of the inputs, (d, min(n, d)), the strongest first; inputs are centred first.

  Raises:
    ValueError: inputs that are tokens.
  """
  x = features(examples)
  return dense.svd(x - jnp.mean(x, axis=0, keepdims=True)).vt.T


def features(examples: Batch) -> Array:
  """The inputs as a matrix (n, d) of float32; further axes are flattened.

  Raises:
    ValueError: inputs that are tokens, or no single array.
  """
  if not isinstance(examples.x, contracts.ARRAYS):
    raise ValueError(f'directions of the inputs need one array, but the inputs are {contracts.described(examples.x)}')
  if jnp.issubdtype(examples.x.dtype, jnp.integer):
    raise ValueError('directions of the inputs need features, but these inputs are tokens')
  return examples.x.reshape((examples.x.shape[0], -1)).astype(jnp.float32)
