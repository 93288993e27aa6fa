"""The probes of 2310.17074 against numpy in float64: oscillation of the loss, and what the filters answer to each patch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import losses, models, network, probes, trees
from dynamics.types import Batch, StepInfo

rng = np.random.default_rng(8)


@pytest.fixture
def view_of(probing):
  return lambda params, x: probing.view(lambda v, x: x, params, Batch(x, jnp.zeros((x.shape[0], 1), jnp.float32)))


LOSSES = {
  'alternating': 3 + (-1.0) ** np.arange(40),
  'walk': 100 + 0.1 * np.cumsum(rng.normal(size=60)),
  'noise': rng.exponential(size=50),
  'decay': 0.5 * 0.8 ** np.arange(30),
}


@pytest.mark.parametrize('dtype', [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize('name', LOSSES)
def test_oscillation_against_numpy_window_by_window(name, dtype):
  """Three members side by side, with other losses each; the second reading knows nothing of the first window."""
  factors = np.array([1.0, 0.5, 2.0])
  series = jnp.asarray(LOSSES[name][:, None] * factors, jnp.float32).astype(dtype)  # (t, m)
  probe = probes.oscillation()
  cut = len(series) // 3

  def window(state, part):
    step = lambda state, loss: (probe.update(state, StepInfo(loss, {}, {}, None)), None)
    return probe.measure(None, jax.lax.scan(step, state, part)[0], None)

  def both(member):
    first, state = window(probe.init(None), member[:cut])
    return first, window(state, member[cut:])[0]

  read = jax.jit(jax.vmap(both, in_axes=1))(series)
  for out, part in zip(read, (series[:cut], series[cut:]), strict=True):
    l = np.asarray(part.astype(jnp.float32), np.float64)
    away = l - l.mean(0)
    expected = (away[1:] * away[:-1]).sum(0) / (away**2).sum(0)
    np.testing.assert_allclose(out['autocorrelation'], expected, rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose(out['mean'], l.mean(0), rtol=1e-5)
    np.testing.assert_allclose(out['deviation'], l.std(0), rtol=2e-3)


@pytest.mark.parametrize('steps', [0, 1, 3])
def test_a_loss_that_does_not_move_has_no_autocorrelation(steps):
  probe = probes.oscillation()
  state = probe.init(None)
  for _ in range(steps):
    state = probe.update(state, StepInfo(jnp.float32(0.7), {}, {}, None))
  out, _ = probe.measure(None, state, None)
  assert np.isnan(out['autocorrelation'])
  assert np.isnan(out['mean']) == (steps < 2)


@pytest.mark.parametrize('dtype', [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize('shape', [(7, 3, 4), (5, 4)], ids=['patches', 'one patch'])
def test_patches_against_numpy_pair_by_pair(probing, view_of, shape, dtype):
  x, w = (jnp.asarray(rng.normal(size=s), dtype) for s in (shape, (4, 6)))
  other = {'input': {'kernel': w}, 'readout': {'kernel': jnp.ones((6, 1))}}
  (out,) = probing.read(probes.patches(), view_of(other, x.astype(jnp.float32)))
  pairs = np.einsum('npd,dh->nph', np.asarray(x, np.float64).reshape(shape[0], -1, 4), np.asarray(w, np.float64))
  np.testing.assert_allclose(out['largest'], np.abs(pairs).max((0, 2)), rtol=1e-5)
  np.testing.assert_allclose(out['mean_square'], (pairs**2).mean((0, 2)), rtol=1e-5)
  (lost,) = probing.read(probes.patches(), view_of({'input': {'kernel': w.at[0, 0].set(jnp.nan)}}, x.astype(jnp.float32)))
  assert all(np.isnan(v).all() for v in lost.values())


@pytest.mark.parametrize(
  ('params', 'x', 'sentence'),
  [
    ({'input': {'kernel': jnp.ones((4, 2))}}, jnp.zeros((3, 4), jnp.int32), 'patches need features'),
    ({'input': {'kernel': jnp.ones((4, 2))}}, jnp.zeros((3, 2, 5)), 'needs a first layer of 5 rows'),
  ],
)
def test_patches_refuse_what_they_cannot_read(view_of, params, x, sentence):
  with pytest.raises(ValueError, match=sentence):
    probes.patches().init(view_of(params, x))


# ---- the network and its points -----------------------------------------------------------------------------------


@pytest.mark.parametrize('activation', ['relu', 'squared_relu'])
def test_patchwise_and_its_gradient_against_numpy(activation):
  x, y = rng.normal(size=(3, 2, 5)).astype(np.float32), rng.normal(size=(3, 1))
  model, loss = (
    network.from_flax(models.patchwise(1, filters=4, activation=activation), jnp.zeros((1, 2, 5))),
    losses.mean_squared_error(),
  )
  variables = model.init(jax.random.key(1), None)
  w = np.asarray(variables['params']['input']['kernel'], np.float64)
  assert list(trees.by_path(variables['params'])) == ['input/kernel']
  sign, power = np.repeat([0.25, -0.25], 4), 2 if activation == 'squared_relu' else 1
  f = lambda w: (np.maximum(x @ w, 0) ** power).sum(1) @ sign
  inputs, targets = (jnp.asarray(a, jnp.float32) for a in (x, y))
  value = lambda params: (lambda z: (jnp.mean(loss(z, targets)), z))(model.apply({'params': params}, inputs))
  (_, outputs), gradient = jax.jit(jax.value_and_grad(value, has_aux=True))(variables['params'])
  np.testing.assert_allclose(outputs[:, 0], f(w), rtol=1e-4, atol=1e-6)
  cost = lambda w: np.mean((f(w) - y[:, 0]) ** 2) / 2
  unit = lambda i: 1e-6 * np.eye(w.size)[i].reshape(w.shape)
  slow = np.array([(cost(w + unit(i)) - cost(w - unit(i))) / 2e-6 for i in range(w.size)]).reshape(w.shape)
  np.testing.assert_allclose(gradient['input']['kernel'], slow, rtol=1e-3, atol=1e-5)


def test_patchwise_says_what_it_cannot_be():
  with pytest.raises(ValueError, match='one output, but the task has 2'):
    models.patchwise(2)
  with pytest.raises(ValueError, match='reads patches'):
    jax.eval_shape(models.patchwise(1).init, jax.random.key(0), jnp.zeros((3, 4)))
