"""Random matrices that several families draw."""

import jax
import jax.numpy as jnp

from dynamics.linalg import dense
from dynamics.types import Array, Key


def random_orthonormal(key: Key, rows: int, columns: int) -> Array:
  """Haar-random orthonormal columns: (rows, columns) float32, rows >= columns."""
  q, r = dense.qr(jax.random.normal(key, (rows, columns), jnp.float32))
  return q * jnp.sign(jnp.diagonal(r))[None, :]
