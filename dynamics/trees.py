"""Pytrees as vectors, their leaves by path, and random keys by name."""

import hashlib

import jax
import jax.numpy as jnp

from dynamics.types import Array, Key, Tree


def path(entries) -> str:
  """The path of a leaf as one word: 'input/kernel'."""
  return '/'.join(str(getattr(e, 'key', getattr(e, 'name', getattr(e, 'idx', e)))) for e in entries)


def by_path(tree: Tree) -> dict[str, Array]:
  """Leaves under their paths, in the tree's own order."""
  return {path(entries): leaf for entries, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def dot(a: Tree, b: Tree) -> Array:
  """<a, b> over all leaves; float32 scalar (float64 where a leaf is)."""
  return sum(jax.tree.leaves(jax.tree.map(_leaf_dot, a, b)))


def norm(tree: Tree) -> Array:
  """The Euclidean norm of all leaves taken as one vector."""
  return jnp.sqrt(dot(tree, tree))


def cosine(a: Tree, b: Tree) -> Array:
  """<a, b> / |a| |b|; NaN where either is zero, because no direction exists there."""
  return dot(a, b) / (norm(a) * norm(b))


def subtract(a: Tree, b: Tree) -> Tree:
  return jax.tree.map(jnp.subtract, a, b)


def size(tree: Tree) -> int:
  """The number of scalars; needs shapes only."""
  return sum(leaf.size for leaf in jax.tree.leaves(tree))


def named_key(key: Key, name: str) -> Key:
  """The key of a name: independent of what else draws keys and in which order."""
  return jax.random.fold_in(key, int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], 'big'))


def at_least_float32(x: Array) -> Array:
  """At least float32: half-precision sums would absorb their small terms."""
  return x if x.dtype == jnp.float64 else x.astype(jnp.float32)


def _leaf_dot(a: Array, b: Array) -> Array:
  return jnp.sum(at_least_float32(a) * at_least_float32(b))
