"""Laws: the distribution of one leaf, drawn at unit scale (entries of mean 0 and standard deviation 1).

How large the entries really are is the business of a rule (`dynamics.inits.rules`).
"""

import jax
import jax.numpy as jnp

from dynamics.inits.leaves import Leaf
from dynamics.types import Array, Key

TRUNCATION = 2.0  # standard deviations of the normal before truncation
TRUNCATED_STD = 0.8796256610342398  # of a normal cut at +-2


def gaussian(key: Key, leaf: Leaf) -> Array:
  """N(0, 1)."""
  return jax.random.normal(key, leaf.shape, leaf.dtype)


def truncated(key: Key, leaf: Leaf) -> Array:
  """A normal cut at two standard deviations, rescaled to unit variance."""
  return jax.random.truncated_normal(key, -TRUNCATION, TRUNCATION, leaf.shape, leaf.dtype) / TRUNCATED_STD


def uniform(key: Key, leaf: Leaf) -> Array:
  """U(-sqrt 3, sqrt 3). With gain 1/sqrt 3 under the standard rule: +-1/sqrt(fan_in), as torch draws its layers."""
  return jax.random.uniform(key, leaf.shape, leaf.dtype, -(3**0.5), 3**0.5)


def orthogonal(key: Key, leaf: Leaf) -> Array:
  """A Haar-random (fan_in, fan_out) matrix with orthonormal rows or columns, times sqrt(max(fan_in, fan_out)).

  The factor makes the mean square entry 1. Under the standard rule a square matrix is then orthogonal, and a layer that
  widens has singular values sqrt(fan_out / fan_in), so that it keeps the scale of its inputs' entries.
  Source: 1312.6120.
  """
  rows, columns = (leaf.shape[0], leaf.fan_out) if leaf.fan_in == 1 else (leaf.fan_in, leaf.fan_out)
  tall = jax.random.normal(key, (max(rows, columns), min(rows, columns)), jnp.float32)
  q, r = jnp.linalg.qr(tall)
  q = q * jnp.sign(jnp.diagonal(r))[None, :]
  q = q if rows >= columns else q.T
  return (q * max(rows, columns) ** 0.5).reshape(leaf.shape).astype(leaf.dtype)
