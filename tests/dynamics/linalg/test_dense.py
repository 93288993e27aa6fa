"""Factorisations against numpy, their gradients, and many of them in one program of few threads."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics.linalg import dense

CROWD = """
import os
os.environ['NPROC'] = '2'
import jax
from dynamics.linalg import dense
def member(key):
  keys = jax.random.split(key, 12)
  xs = [jax.random.normal(k, (64, 64)) for k in keys]
  return [dense.qr(x)[0].sum() for x in xs], [dense.eigenvalues(x @ x.T)[0] for x in xs]
program = jax.jit(jax.vmap(member))
for seed in range(5):
  jax.block_until_ready(program(jax.random.split(jax.random.key(seed), 8)))
print('done')
"""


def factors(x):
  """All factorisations of x (n, m), the symmetric ones of x x^T (n, n)."""
  a, positive = x @ x.T, lambda a: dense.eigenvalues(a, positive=True)
  return dense.qr(x), dense.svd(x), dense.singular_values(x), (
    dense.eigh(a), dense.eigenvalues(a), positive(a), positive(a * jnp.nan)
  )  # fmt: skip


@pytest.mark.parametrize('over', [jax.vmap, lambda f: lambda xs: jax.lax.map(f, xs)], ids=['vmap', 'map'])
@pytest.mark.parametrize('shape', [(5, 3), (3, 5), (4, 4)])
def test_factors_give_the_matrix_back_and_values_are_those_of_numpy(over, shape):
  x = np.random.default_rng(0).normal(size=(3, *shape)).astype(np.float32)
  a, turned = x @ np.swapaxes(x, 1, 2), lambda v: np.swapaxes(v, 1, 2)
  (q, r), (u, s, vt), singular, symmetric = jax.device_get(jax.jit(over(factors))(x))
  np.testing.assert_allclose(q @ r, x, atol=1e-5)
  np.testing.assert_allclose(u * s[:, None] @ vt, x, atol=1e-5)
  np.testing.assert_allclose(singular, np.linalg.svd(x, compute_uv=False), atol=1e-5)
  (values, vectors), alone, positive, lost = symmetric
  np.testing.assert_allclose(vectors * values[:, None] @ turned(vectors), a, atol=1e-4)
  np.testing.assert_allclose(alone, np.linalg.eigvalsh(a), atol=1e-4)
  np.testing.assert_allclose(positive, np.linalg.eigvalsh(a), atol=1e-4)
  assert np.isnan(lost).all()


def test_eigenvalues_have_the_gradient_of_their_sum_which_is_the_identity():
  a = np.diag(np.arange(1.0, 5.0, dtype=np.float32)) + np.float32(0.1)
  for positive in (False, True):
    gradient = jax.jit(jax.grad(lambda x, positive=positive: jnp.sum(dense.eigenvalues(x, positive=positive))))(a)
    np.testing.assert_allclose(gradient, np.eye(4), atol=1e-5)


def test_more_batches_than_threads_end():
  """Of jax's own batched factorisations this program waits for ever, in some of its calls."""
  environment = {**os.environ, 'JAX_PLATFORMS': 'cpu'}
  found = subprocess.run([sys.executable, '-c', CROWD], capture_output=True, text=True, timeout=300, env=environment)
  assert found.stdout.strip() == 'done', found.stderr[-500:]
