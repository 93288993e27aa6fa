"""Kernels and curvature of a model that answers at every position, against dense Jacobians and Hessians, with padded labels."""

import functools

import chex
import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import losses, models, parallel
from dynamics.linalg import directional_ntk, products, projected_ntk, traces
from dynamics.types import Batch

N, LENGTH, K = 4, 5, 7
draw = np.random.default_rng(8)
TOKENS, LABELS = (draw.integers(0, K, size=(N, LENGTH)).astype(np.int32) for _ in range(2))
LABELS[1, 3:], LABELS[2, 0], LABELS[3, :4] = -1, -1, -1  # 5, 3, 4 and 1 labels
MODULE = models.decoder(K, K, layers=1, width=8, heads=2, expansion=1)
APPLY = lambda params, x: MODULE.apply({'params': params}, x)
MODEL = lambda variables, x: MODULE.apply(variables, x)


@pytest.fixture(autouse=True)
def standard():
  """flax's layer norm promotes float64 in a way that strict promotion refuses."""
  with jax.numpy_dtype_promotion('standard'):
    yield


@functools.cache
def params_of(dtype):
  shapes, rng = jax.eval_shape(MODULE.init, jax.random.key(0), TOKENS)['params'], np.random.default_rng(1)
  return jax.tree.map(lambda w: (0.7 * rng.normal(size=w.shape).astype(np.float32)).astype(dtype), shapes)


@functools.cache
def oracle():
  """In float64: J (n, l, k, p), the dense Hessian of the mean over labels, and logits (n, l, k)."""
  with jax.enable_x64(True):
    flat, back = jax.flatten_util.ravel_pytree(params_of('float64'))
    real = np.argwhere(LABELS >= 0)

    def mean(w):
      z = jax.nn.log_softmax(APPLY(back(w), TOKENS))
      return -sum(z[i, j, LABELS[i, j]] for i, j in real) / len(real)

    outputs = lambda w: APPLY(back(w), TOKENS)
    derivatives = lambda w: (jax.jacrev(outputs)(w), jax.jacfwd(jax.grad(mean))(w), outputs(w))
    return jax.device_get(jax.jit(derivatives)(flat))


def gauss_newton():
  """The mean over labels of J^T (diag(s) - s s^T) J, one label after the other."""
  jacobian, _, z = oracle()
  total, real = 0, np.argwhere(LABELS >= 0)
  for i, j in real:
    s = np.exp(z[i, j]) / np.exp(z[i, j]).sum()
    total = total + jacobian[i, j].T @ (np.diag(s) - np.outer(s, s)) @ jacobian[i, j]
  return total / len(real)


def close(value, true, tolerance):
  np.testing.assert_allclose(value, true, rtol=0, atol=tolerance * np.abs(true).max())


@pytest.fixture(params=['float64', 'float32'])
def dtype(request):
  with jax.enable_x64(request.param == 'float64'):
    yield request.param


# ---- curvature --------------------------------------------------------------------------------------------------


def test_products_with_microbatches_of_sequences_against_dense_matrices(dtype):
  """Two sequences at a time, or three and one more, or all, and four devices; for two members at once."""
  tolerance = 1e-10 if dtype == 'float64' else 2e-5
  jacobian, hessian, _ = oracle()
  batch, params = Batch(TOKENS, LABELS), params_of(dtype)
  loss = losses.per_sequence(losses.cross_entropy(dtype=dtype), LABELS)
  members = jax.tree.map(lambda w: np.stack([w, w / 2]), params)
  v = draw.normal(size=(2, jacobian.shape[-1])).astype(dtype)
  back = jax.flatten_util.ravel_pytree(params)[1]

  def made(params, v):
    matvecs = [
      products.loss_hessian(APPLY, loss, params, batch, chunk=2),
      products.softmax_ggn(APPLY, params, batch, chunk=3),
    ]
    if dtype == 'float64':
      matvecs += [products.ggn(APPLY, loss, params, batch, chunk=2), products.softmax_ggn(APPLY, params, batch)]
    return [jax.flatten_util.ravel_pytree(matvec(back(v)))[0] for matvec in matvecs]

  h, *g = jax.device_get(jax.jit(jax.vmap(made))(members, v))
  close(h[0], hessian @ v[0], tolerance)
  for product in g:
    chex.assert_type(product, dtype)
    close(product[0], gauss_newton() @ v[0], tolerance)
    close(product[1], g[0][1], tolerance)
  if dtype == 'float64':
    over = products.sharded(parallel.mesh(4), parallel.MEMBER, products.softmax_ggn, APPLY)
    close(jax.flatten_util.ravel_pytree(jax.jit(over(params, batch))(back(v[0])))[0], gauss_newton() @ v[0], tolerance)


def test_the_hessian_of_the_softmax_by_hand_is_that_of_the_loss_for_one_label_an_example(wide):
  """(n, k): the last position alone, without padding."""
  last, batch = (lambda params, x: APPLY(params, x)[:, -1]), Batch(TOKENS, np.maximum(LABELS[:, -1], 0))
  params = params_of('float64')
  v = jax.tree.map(lambda w: draw.normal(size=w.shape), params)
  pair = jax.jit(lambda p: (products.softmax_ggn(last, p, batch)(v), products.ggn(last, losses.cross_entropy(), p, batch)(v)))
  mine, automatic = pair(params)
  close(jax.flatten_util.ravel_pytree(mine)[0], jax.flatten_util.ravel_pytree(automatic)[0], 1e-6)  # a loss of float32


def test_the_memory_of_microbatches_does_not_grow_with_the_batch(optimizations):
  """Temporaries of a product with 64 sequences, two at a time, are below a quarter of those all at once."""
  x = jax.ShapeDtypeStruct((64, LENGTH), jnp.int32)
  params = {'embedding': jnp.ones((K, 8)), 'readout': jnp.ones((8, K))}
  apply = lambda params, x: jnp.tanh(params['embedding'][x]) @ params['readout']

  def temporaries(chunk):
    product = lambda p, x, y: products.softmax_ggn(apply, p, Batch(x, y), chunk=chunk)(p)
    return jax.jit(product).lower(params, x, x).compile().memory_analysis().temp_size_in_bytes

  with optimizations():  # buffers are shared only then
    assert temporaries(2) < temporaries(None) / 4


@pytest.mark.parametrize(
  ('call', 'sentence'),
  [
    (
      lambda: products.softmax_ggn(APPLY, params_of('float32'), Batch(TOKENS, LABELS[:, 0])),
      r'logits \(4, 5, 7\) need labels \(4, 5\) of whole numbers, but these are int32\(4,\)',
    ),
    (lambda: losses.per_sequence(losses.hinge(), LABELS[0]), r'whole numbers \(n, l\), but these are int32\(5,\)'),
    (
      lambda: losses.per_sequence(losses.cross_entropy(), LABELS)(jnp.ones((4, 7)), LABELS),
      r'need outputs \(n, l, k\) and labels \(n, l\), but they are \(4, 7\) and \(4, 5\)',
    ),
    (
      lambda: directional_ntk(MODEL, {'params': params_of('float32')}, TOKENS, direction=jnp.ones(7)),
      r'direction has shape \(7,\), but the outputs of one example have \(5, 7\)',
    ),
    (
      lambda: projected_ntk(MODEL, {'params': params_of('float32')}, TOKENS, key=jax.random.key(0), projections=0),
      '0 projections were asked for; at least 1',
    ),
  ],
)
def test_mistakes_are_sentences(call, sentence):
  with pytest.raises(ValueError, match=sentence):
    call()


# ---- kernels ----------------------------------------------------------------------------------------------------


def test_unit_directions_sum_to_the_trace_over_positions_and_outputs(dtype):
  """Exactly; each leaf by itself and two members at once."""
  jacobian, _, _ = oracle()
  flat = jacobian.reshape(N, LENGTH * K, -1)
  members = jax.tree.map(lambda w: np.stack([w, w / 2]), params_of(dtype))
  units = np.eye(LENGTH * K, dtype=dtype).reshape(-1, LENGTH, K)

  def trace(params):
    along = lambda unit: directional_ntk(MODEL, {'params': params}, TOKENS, TOKENS[:2], direction=unit, leaves=True)
    return jax.tree.map(lambda k: jnp.sum(k, axis=0), jax.lax.map(along, units))

  kernels = jax.device_get(jax.jit(jax.vmap(trace))(members))
  assert len(kernels) == len(jax.tree.leaves(members))
  tolerance = 1e-10 if dtype == 'float64' else 2e-5
  close(sum(kernels.values())[0], np.einsum('nop,mop->nm', flat, flat[:2]), tolerance)


def test_random_projections_are_unbiased_and_their_errors_true():
  """400 draws: each entry lies within five standard errors, whose size is that of the formula."""
  flat = oracle()[0].reshape(N, LENGTH * K, -1)
  theta = np.einsum('nop,mqp->nmoq', flat, flat)
  variables = {'params': params_of('float32')}
  run = jax.jit(lambda v, key: projected_ntk(MODEL, v, TOKENS, key=key, projections=400))
  draws = run(variables, jax.random.key(4))
  mean, error = jax.device_get(traces.estimate(draws))
  true = np.trace(theta, axis1=2, axis2=3)
  symmetric = (theta + np.swapaxes(theta, 2, 3)) / 2
  off = np.sum(symmetric**2, axis=(2, 3)) - np.sum(np.diagonal(symmetric, axis1=2, axis2=3) ** 2, axis=2)
  assert np.all(np.abs(mean - true) < 5 * error)
  np.testing.assert_allclose(error, np.sqrt(2 * off / 400), rtol=0.3)
  np.testing.assert_array_equal(draws, run(variables, jax.random.key(4)))
  total = traces.estimate(jnp.trace(draws, axis1=1, axis2=2))
  assert abs(total.mean - np.trace(true)) < 5 * total.error < 0.5 * np.trace(true)
