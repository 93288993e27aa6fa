"""Solved training against integrated equations, against steps taken one by one, and against kernel regression."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate

from dynamics import losses
from dynamics.theory import flow, kernels

rng = np.random.default_rng(5)
N, M, K, P = 5, 3, 2, 9


def model(k: int):
  """A linear model of P parameters: its Jacobians (n, k, p) and (m, k, p), w0 (p,), targets (n, k)."""
  return rng.normal(size=(N, k, P)), rng.normal(size=(M, k, P)), rng.normal(size=P), rng.normal(size=(N, k))


def products(a, b, full: bool):
  return np.einsum('nkp,mjp->nmkj', a, b) if full else a[:, 0] @ b[:, 0].T


@jax.jit
def gradient(jacobian, w, y):
  """Of the loss itself, which is the library's."""
  loss = losses.mean_squared_error(dtype='float64')
  return jax.grad(lambda w: jnp.mean(loss(jnp.einsum('nkp,p->nk', jacobian, w), y)))(w)


def integrated(jacobian, w0, y, t):
  """w at time t, by a general solver."""
  slope = lambda _, w: -np.asarray(gradient(jacobian, w, y))
  return integrate.solve_ivp(slope, (0, t), w0, rtol=1e-10, atol=1e-12).y[:, -1]


@functools.cache
def program(solve, method):
  """Outputs of a solution, (kernel, *arguments of its method, **choices of solve) -> array, compiled once for each shape."""
  run = jax.jit(lambda kernel, *args, **choices: getattr(solve(kernel, **choices), method)(*args))
  return lambda *args, **choices: np.asarray(run(*args, **choices))


flow_train, flow_test = (program(flow.gradient_flow, method) for method in ('train', 'test'))
descent_train, descent_test = (program(flow.gradient_descent, method) for method in ('train', 'test'))


@pytest.mark.parametrize('full', [False, True])
def test_gradient_flow_against_an_integrated_model_at_train_and_test_points(wide, full):
  here, there, w0, y = model(K if full else 1)
  kernel, cross = products(here, here, full), products(there, here, full)
  f0, g0 = here @ w0, there @ w0
  times = np.asarray([0.0, 0.3, 2.0, np.inf])
  train, test = flow_train(kernel, times, f0, y), flow_test(kernel, times, f0, y, cross, g0)
  np.testing.assert_allclose(train[0], f0, rtol=1e-12)
  np.testing.assert_allclose(test[0], g0, rtol=1e-12)
  for i in (1, 2):
    w = integrated(here, w0, y, float(times[i]))
    np.testing.assert_allclose(train[i], here @ w, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(test[i], there @ w, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(flow_train(kernel, times[i], f0, y), train[i], rtol=1e-12)
  flat_here, flat_there = here.reshape((-1, P)), there.reshape((-1, P))
  limit = w0 + np.linalg.pinv(flat_here) @ (y - f0).ravel()  # the nearest interpolating, or best, model
  if not full:
    np.testing.assert_allclose(train[-1], y, atol=1e-9)
  np.testing.assert_allclose(test[-1].ravel(), flat_there @ limit, rtol=1e-6)
  if not full:  # the parameters are outputs whose kernel with the training set is the Jacobian
    w = flow_test(kernel, 0.3, f0, y, here[:, 0].T, w0[:, None])
    np.testing.assert_allclose(w[:, 0], integrated(here, w0, y, 0.3), rtol=1e-6)


@pytest.mark.parametrize('lr', [0.05, 0.9])
def test_gradient_descent_against_its_steps(wide, lr):
  here, there, w0, y = model(1)
  kernel = products(here, here, False)
  lr = lr * 2 * N / np.linalg.eigvalsh(kernel)[-1]  # below and close to the edge: eigenvalues of the step turn negative
  w = w0.copy()
  for _ in range(7):
    w = w - lr * np.einsum('nkp,nk->p', here, here @ w - y) / N
  f0, g0, cross = here @ w0, there @ w0, products(there, here, False)
  np.testing.assert_allclose(descent_train(kernel, 7.0, f0, y, lr=lr), here @ w, rtol=1e-9)
  test = descent_test(kernel, np.asarray([0.0, 7.0, np.inf]), f0, y, cross, g0, lr=lr)
  np.testing.assert_allclose(test[:2], [g0, there @ w], rtol=1e-9)
  np.testing.assert_allclose(test[2], flow_test(kernel, np.inf, f0, y, cross, g0), rtol=1e-9)


def test_many_small_steps_are_the_flow_and_large_ones_diverge(wide):
  here, _, w0, y = model(1)
  kernel, f0 = products(here, here, False), here @ w0
  small = descent_train(kernel, 100_000.0, f0, y, lr=1e-5)
  np.testing.assert_allclose(small, flow_train(kernel, 1.0, f0, y), rtol=1e-3)
  lr = 2.1 * N / np.linalg.eigvalsh(kernel)[-1]
  assert np.abs(descent_train(kernel, 1000.0, f0, y, lr=lr)).max() > 1e3


def test_directions_without_an_eigenvalue_stay_where_they_are():
  """More examples than parameters, in float32: rounding must not become a rate, not even in infinite time."""
  x, w0, y = (rng.normal(size=s).astype(np.float32) for s in ((12, 3), (3, 2), (12, 2)))
  best, infinity = np.linalg.lstsq(x, y)[0], np.float32(np.inf)
  np.testing.assert_allclose(flow_train(x @ x.T, infinity, x @ w0, y), x @ best, atol=2e-5)
  np.testing.assert_allclose(flow_test(x @ x.T, infinity, x @ w0, y, x.T, w0), best, atol=2e-5)


@pytest.mark.parametrize('d', [3, 8])
def test_the_weights_of_linear_regression_with_few_and_with_many_features(wide, d):
  x, w0, y = rng.normal(size=(N, d)), rng.normal(size=(d, K)), rng.normal(size=(N, K))
  jacobian = np.einsum('nd,kj->nkdj', x, np.eye(K)).reshape((N, K, d * K))
  weights = jax.jit(lambda x, *args: flow.linear_regression(x)(*args))(x, np.asarray([0.0, 0.7, np.inf]), w0, y)
  np.testing.assert_allclose(weights[0], w0, rtol=1e-12)
  np.testing.assert_allclose(weights[1].ravel(), integrated(jacobian, w0.ravel(), y, 0.7), rtol=1e-6, atol=1e-8)
  np.testing.assert_allclose(weights[2], w0 + np.linalg.pinv(x) @ (y - x @ w0), rtol=1e-6)


def test_targets_that_would_broadcast_are_refused():
  y, x = np.ones(3), np.ones((3, 2))
  for call, sentence in (
    (lambda: flow.gradient_flow(np.eye(3)).train(1.0, y[:, None], y), r'step 0 have shape \(3, 1\) and the targets \(3,\)'),
    (lambda: flow.gradient_descent(np.eye(3), 0.1).test(1, y[:, None], y, np.eye(3), y), r'\(3, 1\) and the targets \(3,\)'),
    (lambda: flow.linear_regression(x)(1.0, np.ones((2, 1)), y), r'shape \(3, 1\) and the targets \(3,\)'),
    (lambda: flow.ensemble(kernels.dense(kernels.relu), x, np.arange(3)), r'x is \(3, 2\), but y is int64\(3,\); .* one-hot'),
    (lambda: flow.ensemble(kernels.dense(kernels.relu), x, y[:2]), r'x is \(3, 2\), but y is float64\(2,\)'),
  ):
    with pytest.raises(ValueError, match=sentence):
      call()


def test_a_kernel_of_another_shape_is_an_error():
  for shape in ((3,), (3, 4), (3, 3, 2), (3, 3, 2, 1)):
    with pytest.raises(ValueError, match=r'\(n, n\) or \(n, n, k, k\), not'):
      flow.gradient_flow(jnp.zeros(shape))


# ---- ensembles --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('solve', [flow.gradient_flow, functools.partial(flow.gradient_descent, lr=0.4)])
def test_the_law_of_an_ensemble_against_linear_models_drawn_and_trained(wide, solve):
  """A dense network without hidden layers is linear: random starts, each trained by its closed form or its steps."""
  d, draws = 4, 40_000
  x, z, y = rng.normal(size=(N, d)), rng.normal(size=(M, d)), rng.normal(size=(N, 1))
  kernel = kernels.dense(kernels.identity, hidden=0, bias=0.0)
  x, y = x[:3], y[:3]
  law = jax.device_get(jax.jit(lambda x, y, z: flow.ensemble(kernel, x, y, solve=solve)(5.0, z))(x, y, z))
  a, b = x / d**0.5, z / d**0.5
  starts = rng.normal(size=(d, draws))
  if solve is flow.gradient_flow:
    w = jax.jit(lambda *args: flow.linear_regression(a)(5.0, *args))(starts, np.tile(y, (1, draws)))
  else:
    w = starts
    for _ in range(5):
      w = w - 0.4 * a.T @ (a @ w - y) / 3
  outputs = np.asarray(b @ w)
  size = np.sqrt(np.diag(law.covariance))
  np.testing.assert_allclose(law.mean[:, 0], outputs.mean(1), atol=5 * size.max() / draws**0.5)
  np.testing.assert_allclose(law.covariance, np.cov(outputs), atol=7 * (size.max() ** 2) / draws**0.5)


def test_an_ensemble_begins_as_the_nngp_and_ends_on_its_targets(wide):
  x, z, y = (rng.normal(size=s) for s in ((4, 3), (2, 3), (4, 2)))
  kernel = kernels.dense(kernels.erf, hidden=2)
  both = np.concatenate([x, z])
  law = jax.device_get(jax.jit(lambda x, y, t, z: flow.ensemble(kernel, x, y)(t, z))(x, y, np.asarray([0.0, np.inf]), both))
  nngp, ntk = (np.asarray(k) for k in jax.jit(kernel)(both))
  np.testing.assert_allclose(law.mean[0], 0, atol=1e-12)
  np.testing.assert_allclose(law.covariance[0], nngp, rtol=1e-9)
  np.testing.assert_allclose(law.mean[1, :4], y, rtol=1e-6)
  a = ntk[:, :4] @ np.linalg.inv(ntk[:4, :4])
  cross = a @ nngp[:4]
  np.testing.assert_allclose(law.covariance[1], nngp - cross - cross.T + a @ nngp[:4, :4] @ a.T, rtol=1e-6, atol=1e-9)
  np.testing.assert_allclose(law.covariance[1, :4], 0, atol=1e-9)


def test_an_ensemble_learns_a_permutation_of_bits_from_basis_vectors(wide):
  """The mean at infinite time on unseen bits is positive where the permuted input has a 1 and negative where it has a 0."""
  k = 6
  order = rng.permutation(k)
  law = jax.jit(lambda *args: flow.ensemble(kernels.dense(kernels.relu, bias=0.0), np.eye(k), np.eye(k)[:, order])(*args))
  inputs = np.array([[int(b) for b in f'{i:06b}'] for i in range(1, 2**k)])
  mean = law(np.inf, inputs.astype(float)).mean
  assert ((np.asarray(mean) > 1e-9) == inputs[:, order].astype(bool)).all()
