"""Vectors, paths and named keys, against numpy on the flattened leaves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import trees

rng = np.random.default_rng(1)
A, B = ({'u': rng.normal(size=(3, 2)).astype(np.float32), 'v': {'w': rng.normal(size=4).astype(np.float32)}} for _ in range(2))


def flat(tree):
  return np.concatenate([np.ravel(x).astype(np.float64) for x in jax.tree.leaves(tree)])


def test_products_norms_and_cosines():
  a, b = flat(A), flat(B)
  np.testing.assert_allclose(trees.dot(A, B), a @ b, rtol=1e-6)
  np.testing.assert_allclose(trees.norm(A), np.linalg.norm(a), rtol=1e-6)
  np.testing.assert_allclose(trees.cosine(A, B), a @ b / np.linalg.norm(a) / np.linalg.norm(b), rtol=1e-5)
  np.testing.assert_allclose(flat(trees.subtract(A, B)), a - b, rtol=1e-6)
  assert trees.size(A) == 10
  assert np.isnan(trees.cosine(A, jax.tree.map(np.zeros_like, A)))


def test_a_complex_number_is_a_vector_of_two():
  a, b = ({'x': np.array([1j, 2]) * z, 'y': np.ones(1, np.float32)} for z in (1, 1 - 3j))
  np.testing.assert_allclose(trees.norm({'x': np.array([1j, 2])}), 5**0.5, rtol=1e-6)
  np.testing.assert_allclose(trees.dot(a, b), np.vdot(a['x'], b['x']).real + 1, rtol=1e-6)
  with pytest.raises(ValueError, match=r'complex128\(2,\) would lose its imaginary part'):
    trees.at_least_float32(a['x'])


@pytest.mark.parametrize(('dtype', 'wide_dtype'), [('float16', 'float32'), ('bfloat16', 'float32'), ('float64', 'float64')])
def test_sums_are_taken_in_float32_at_least(wide, dtype, wide_dtype):
  ones = {'x': jnp.ones(5000, dtype)}
  assert trees.dot(ones, ones) == 5000
  assert trees.dot(ones, ones).dtype == wide_dtype


def test_paths_name_leaves_in_the_order_of_the_tree():
  tree = {'b': [1, 2], 'a': {'kernel': 3}}
  assert trees.by_path(tree) == {'a/kernel': 3, 'b/0': 1, 'b/1': 2}
  assert list(trees.by_path(tree).values()) == jax.tree.leaves(tree)


def test_named_keys_depend_on_name_and_key_alone():
  key = jax.random.key(0)
  bits = lambda k: jax.random.key_data(k).tolist()
  drawn = {name: bits(trees.named_key(key, name)) for name in ('a', 'b', 'init', 'batch', 'data')}
  assert len({tuple(d) for d in drawn.values()}) == 5
  assert bits(trees.named_key(key, 'a')) == drawn['a'] != bits(trees.named_key(jax.random.key(1), 'a'))
