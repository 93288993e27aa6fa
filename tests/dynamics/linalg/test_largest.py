"""Extreme eigenvalues in float32 against the whole Hessian in float64: of small networks, and of up to 5,000 parameters."""

import functools

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse.linalg
from sklearn.datasets import load_digits

from dynamics import losses, models
from dynamics.linalg import products, quadrature
from dynamics.linalg.eigen import eigsh
from dynamics.linalg.lanczos import lanczos
from dynamics.types import Batch


def tridiagonal(alphas, betas):
  betas = np.asarray(betas, np.float64)[:-1]
  return np.diag(np.asarray(alphas, np.float64)) + np.diag(betas, 1) + np.diag(betas, -1)


@functools.cache
def network(name):
  """float32: (matvec's loss, params) of a network, with the dense Hessian in float64."""
  rng = np.random.default_rng(0)
  if name == 'mlp':
    module, x = models.mlp(widths=(16, 16), activation='tanh', outputs=4), rng.normal(size=(50, 8)).astype(np.float32)
  else:
    module = models.transformer(width=8, heads=2, expansion=2, activation='gelu', norm='none', outputs=4, vocabulary=6)
    x = rng.integers(0, 6, size=(30, 2)).astype(np.int32)
  y = rng.integers(0, 4, size=len(x)).astype(np.int32)
  params = jax.device_get(jax.jit(module.init)(jax.random.key(0), x)['params'])
  with jax.enable_x64(True):
    loss = losses.cross_entropy(dtype='float64')
    wide_params = jax.tree.map(lambda w: w.astype(np.float64), params)
    wide_x = x.astype(np.float64) if name == 'mlp' else x
    vector, back = jax.flatten_util.ravel_pytree(wide_params)
    total = lambda w: losses.mean(loss(module.apply({'params': back(w)}, wide_x), y))
    hessian = np.asarray(jax.jit(jax.hessian(total))(vector))
  apply = lambda params, x: module.apply({'params': params}, x)
  return apply, params, Batch(x, y), hessian


@pytest.mark.slow
@pytest.mark.parametrize('name', ['mlp', 'transformer'])
def test_extreme_eigenvalues_of_networks_in_float32(name):
  apply, params, batch, hessian = network(name)
  true = np.linalg.eigvalsh(hessian)

  @jax.jit
  def spectrum(params):
    matvec = products.loss_hessian(apply, losses.cross_entropy(), params, batch)
    pairs = eigsh(matvec, params, 3, jax.random.key(0), which='both')
    estimate = quadrature.slq(matvec, params, jax.random.key(1), steps=30, vectors=8)
    return pairs, lanczos(matvec, params, 50), quadrature.moments(estimate, (1, 2))

  pairs, space, moments = jax.device_get(spectrum(params))
  assert pairs.converged
  np.testing.assert_allclose(pairs.values[0], true[-1], rtol=1e-5)
  np.testing.assert_allclose(pairs.values, [*true[::-1][:3], *true[:3]], atol=1e-5 * true[-1])
  np.testing.assert_allclose(np.linalg.eigvalsh(tridiagonal(space.alphas, space.betas))[-1], true[-1], rtol=1e-5)
  assert space.orthogonality < 1e-5
  assert np.all(np.abs(moments.mean - [true.mean(), np.mean(true**2)]) < 4 * moments.error)


# ---- up to 5,000 parameters -------------------------------------------------------------------------------------

NETWORKS = {  # model, parameters
  'tanh': (models.mlp(widths=(16, 16), activation='tanh', outputs=10), 1_482),
  'wide': (models.mlp(widths=(64,), activation='tanh', outputs=10), 4_810),
  'relu': (models.mlp(widths=(48, 31), activation='relu', outputs=10), 4_959),
}


def descended(loss, params, steps):
  """After full-batch gradient descent, which sets the largest eigenvalues apart."""
  step = lambda _, p: jax.tree.map(lambda w, g: w - 0.1 * g, p, jax.grad(loss)(p))
  return jax.jit(lambda p: jax.lax.fori_loop(0, steps, step, p))(params)


@pytest.mark.slow
@pytest.mark.parametrize('steps', [0, 200])
@pytest.mark.parametrize('name', NETWORKS)
def test_the_largest_eigenvalue_is_within_1e_5(name, steps):
  module, size = NETWORKS[name]
  x, y = load_digits(return_X_y=True)
  batch = Batch(jnp.asarray(x[:500] / 16, jnp.float32), jnp.asarray(y[:500], jnp.int32))
  apply = lambda params, x: module.apply({'params': params}, x)
  loss = losses.cross_entropy()
  params = module.init(jax.random.key(0), batch.x[:1])['params']
  params = descended(lambda p: losses.mean(loss(apply(p, batch.x), batch.y)), params, steps)

  @jax.jit
  def ends(params):
    matvec = products.loss_hessian(apply, loss, params, batch)
    space = lanczos(matvec, params, 100)
    return eigsh(matvec, params, 1, jax.random.key(0)).values[0], space.alphas, space.betas

  largest, alphas, betas = jax.device_get(ends(params))
  with jax.enable_x64(True):
    vector, back = jax.flatten_util.ravel_pytree(jax.tree.map(lambda w: jnp.asarray(w, jnp.float64), params))
    double = losses.cross_entropy(dtype='float64')
    total = lambda w: losses.mean(double(apply(back(w), jnp.asarray(batch.x, jnp.float64)), batch.y))
    column = lambda e: jax.jvp(jax.grad(total), (vector,), (e,))[1]
    hessian = np.asarray(jax.jit(lambda eye: jax.lax.map(column, eye, batch_size=64))(jnp.eye(vector.size)))
  assert vector.size == size
  np.testing.assert_allclose(hessian, hessian.T, atol=1e-12)
  (true,) = scipy.sparse.linalg.eigsh(hessian, 1, which='LA', tol=1e-12, return_eigenvectors=False)
  ritz = np.linalg.eigvalsh(tridiagonal(alphas, betas))[-1]
  print(f'{name}, {size} parameters, {steps} steps: {true:.6g}, eigsh {largest / true - 1:.1e}, lanczos {ritz / true - 1:.1e}')
  np.testing.assert_allclose([largest, ritz], true, rtol=1e-5)
