"""Rounded weights against numpy's rounding, entry by entry, and the gradient that passes."""

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from dynamics import inits, models, network, transforms, trees

KEY = jax.random.key(0, impl='threefry2x32')
X = jax.random.normal(jax.random.key(1), (6, 4))
DTYPES = ('float8_e4m3fn', 'float8_e5m2', 'float16', 'bfloat16')


def plain():
  return network.initialised(network.from_flax(models.mlp(3, widths=(5,), activation='tanh'), X), inits.gaussian())


def by_hand(w, dtype):
  """The nearest of all finite numbers of the format, of two the even one."""
  bits = np.arange(2**8, dtype=np.uint8) if dtype.startswith('float8') else np.arange(2**16, dtype=np.uint16)
  with np.errstate(invalid='ignore'):
    values = bits.view(dtype).astype(np.float64)
  numbers = np.unique(values[np.isfinite(values)])
  above = np.clip(np.searchsorted(numbers, w), 1, len(numbers) - 1)
  low, high = numbers[above - 1], numbers[above]
  return np.where(w - low < high - w, low, high)  # no entry of a test is a tie


@pytest.mark.parametrize('dtype', DTYPES)
def test_the_module_sees_the_nearest_numbers_of_the_format_under_vmap_and_jit(dtype):
  model = transforms.rounded_weights(dtype=dtype)(plain())
  weights = np.concatenate([np.geomspace(1e-7, 1e6, 17), -np.geomspace(3e-4, 7.0, 3)]).reshape(4, 5)
  kernel = jnp.asarray(np.stack([weights, weights[::-1] * 1.3]), jnp.float32)
  bias = jnp.asarray(np.full((2, 5), 0.1234567), jnp.float32)

  @jax.jit
  @jax.vmap
  def first_layer(kernel, bias):
    params = {'input': {'kernel': kernel, 'bias': bias}, 'readout': {'kernel': jnp.zeros((5, 3)), 'bias': jnp.zeros(3)}}
    at = lambda x: model.forward({'params': params}, x)[1].features['after_input']
    return at(jnp.eye(4) * 1e-6), at(jnp.zeros((4, 4)))

  rows, offset = first_layer(kernel, bias)
  np.testing.assert_array_equal(offset, np.tanh(np.broadcast_to(np.asarray(bias)[:, None], offset.shape)).astype(np.float32))
  expected = np.tanh(1e-6 * by_hand(np.asarray(kernel, np.float64), dtype) + 0.1234567)
  np.testing.assert_allclose(rows, expected, rtol=2e-6)


@pytest.mark.parametrize('dtype', DTYPES)
def test_the_gradient_is_that_at_the_rounded_weights(dtype):
  inner = plain()
  model = transforms.rounded_weights(dtype=dtype)(inner)
  params = inner.init(KEY, None)['params']
  near = jax.tree.map(lambda w: jnp.asarray(np.asarray(w).astype(ml_dtypes.finfo(dtype).dtype).astype(np.float32)), params)
  loss = lambda model: lambda params: jnp.sum(jnp.sin(model.forward({'params': params}, X)[0]))
  for ours, expected in zip(*(trees.by_path(tree).values() for tree in (
    jax.jit(jax.grad(loss(model)))(params), jax.grad(loss(inner))(near))), strict=True):  # fmt: skip
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-7)


def test_what_cannot_be_is_a_sentence():
  rounded = transforms.rounded_weights()
  with pytest.raises(ValueError, match='transforms has rounded_weights twice'):
    rounded(rounded(plain()))
  with pytest.raises(ValueError, match='put it before the subspace'):
    rounded(transforms.subspace(most=4, dimension=4)(plain()))
