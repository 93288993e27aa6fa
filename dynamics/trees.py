"""Pytrees as vectors, access to leaves by path, and random keys by name."""

import hashlib

import jax
import jax.numpy as jnp

from dynamics.types import Array, Key, Tree


def path(entries) -> str:
  """The path of a leaf as one string, 'input/kernel', from the entries of a jax key path."""
  return '/'.join(str(getattr(e, 'key', getattr(e, 'name', getattr(e, 'idx', e)))) for e in entries)


def by_path(tree: Tree) -> dict[str, Array]:
  """{path: leaf}, in the order of `jax.tree.leaves`."""
  return {path(entries): leaf for entries, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def dot(a: Tree, b: Tree) -> Array:
  """<a, b>, summed over all leaves: a float32 scalar, float64 if any leaf is float64.

  A complex number counts as a vector of two entries, its real and its imaginary part: <a, b> is the real part of sum conj(a) b.
  """
  return sum(jax.tree.leaves(jax.tree.map(_leaf_dot, a, b)))


def norm(tree: Tree) -> Array:
  """The Euclidean norm of the tree as one vector: a scalar with the dtype of `dot`."""
  return jnp.sqrt(dot(tree, tree))


def cosine(a: Tree, b: Tree) -> Array:
  """<a, b> / (|a| |b|); NaN if either tree is zero, because a zero vector has no direction."""
  return dot(a, b) / (norm(a) * norm(b))


def subtract(a: Tree, b: Tree) -> Tree:
  """a - b, leaf by leaf."""
  return jax.tree.map(jnp.subtract, a, b)


def size(tree: Tree) -> int:
  """The number of scalars in all leaves. Leaves may be `jax.ShapeDtypeStruct`s."""
  return sum(leaf.size for leaf in jax.tree.leaves(tree))


def named_key(key: Key, name: str) -> Key:
  """The key that belongs to a name. It does not depend on which other keys are drawn, or in which order."""
  return jax.random.fold_in(key, number_of(name))


def number_of(name: str) -> int:
  """32 bits of the name, which `named_key` folds into a key."""
  return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], 'big')


def at_least_float32(x: Array) -> Array:
  """x as float32, or unchanged if it is float64. Sums in half precision lose their small terms.

  Raises:
    ValueError: complex numbers, which would lose their imaginary parts.
  """
  if jnp.issubdtype(x.dtype, jnp.complexfloating):
    raise ValueError(f'{x.dtype}{x.shape} would lose its imaginary part as float32: take real and imaginary parts apart')
  return x if x.dtype == jnp.float64 else x.astype(jnp.float32)


def _leaf_dot(a: Array, b: Array) -> Array:
  if jnp.iscomplexobj(a) or jnp.iscomplexobj(b):
    return _leaf_dot(jnp.real(a), jnp.real(b)) + _leaf_dot(jnp.imag(a), jnp.imag(b))
  return jnp.sum(at_least_float32(a) * at_least_float32(b))
