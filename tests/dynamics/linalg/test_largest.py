"""The largest eigenvalue in float32 against the whole Hessian in float64, on networks of up to 5,000 parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse.linalg
from sklearn.datasets import load_digits

from dynamics import losses, models
from dynamics.linalg import products
from dynamics.linalg.eigen import eigsh
from dynamics.linalg.lanczos import lanczos
from dynamics.types import Batch

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
  def found(params):
    matvec = products.loss_hessian(apply, loss, params, batch)
    space = lanczos(matvec, params, 100)
    return eigsh(matvec, params, 1, jax.random.key(0)).values[0], space.alphas, space.betas

  largest, alphas, betas = jax.device_get(found(params))
  with jax.enable_x64(True):
    vector, back = jax.flatten_util.ravel_pytree(jax.tree.map(lambda w: jnp.asarray(w, jnp.float64), params))
    double = losses.cross_entropy(dtype='float64')
    total = lambda w: losses.mean(double(apply(back(w), jnp.asarray(batch.x, jnp.float64)), batch.y))
    column = lambda e: jax.jvp(jax.grad(total), (vector,), (e,))[1]
    hessian = np.asarray(jax.jit(lambda eye: jax.lax.map(column, eye, batch_size=64))(jnp.eye(vector.size)))
  assert vector.size == size
  np.testing.assert_allclose(hessian, hessian.T, atol=1e-12)
  (true,) = scipy.sparse.linalg.eigsh(hessian, 1, which='LA', tol=1e-12, return_eigenvectors=False)
  ritz = np.linalg.eigvalsh(np.diag(alphas.astype(float)) + np.diag(betas[:-1], 1) + np.diag(betas[:-1], -1))[-1]
  print(f'{name}, {size} parameters, {steps} steps: {true:.6g}, eigsh {largest / true - 1:.1e}, lanczos {ritz / true - 1:.1e}')
  np.testing.assert_allclose([largest, ritz], true, rtol=1e-5)
