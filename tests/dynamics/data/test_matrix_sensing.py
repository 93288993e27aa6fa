"""Matrix sensing: measurements, factors and their start, against numpy."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import data, inits, models, network

KEY = jax.random.key(3, impl='threefry2x32')
SINGULAR = (2.0, 0.5)


@functools.cache
def program(**choices):
  fields = {'rows': 5, 'columns': 5, 'singular': SINGULAR, 'train': 30, **choices}
  return jax.jit(lambda share: data.matrix_sensing(**fields, outlier_share=share).draw(KEY))


def drawn(share=0.0, **choices):
  return program(**choices)(jnp.float32(share))


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize(('columns', 'symmetric'), [(5, True), (5, False), (7, False)])
@pytest.mark.parametrize('operator', ['gaussian', 'entries'])
def test_measurements_are_those_of_a_matrix_with_the_singular_values(wide, dtype, columns, symmetric, operator):
  some = drawn(columns=columns, symmetric=symmetric, operator=operator, dtype=dtype)
  assert {leaf.dtype for leaf in jax.tree.leaves(some)} == {jnp.dtype(dtype)}
  tolerance = 1e-5 if dtype == 'float32' else 1e-12
  m = np.asarray(some.test.y, np.float64).reshape(5, columns)
  np.testing.assert_allclose(np.linalg.svd(m, compute_uv=False), [*SINGULAR, 0, 0, 0], atol=1e-6)
  a, y = (np.asarray(part, np.float64) for part in some.train)
  np.testing.assert_allclose(y[:, 0], [np.sum(one * m) for one in a], atol=tolerance * 10)
  np.testing.assert_array_equal(np.asarray(some.test.x).reshape(-1, 5 * columns), np.eye(5 * columns))
  if symmetric:
    np.testing.assert_allclose(m, m.T, atol=tolerance)
    np.testing.assert_allclose(a, a.transpose(0, 2, 1), atol=tolerance)
    assert np.linalg.eigvalsh(m).min() > -1e-6
  if operator == 'entries':
    np.testing.assert_allclose(np.mean(y**2), np.sum(m**2), rtol=1e-5)


def test_a_symmetric_operator_measures_isometrically_in_the_mean():
  """The mean of <A, M>^2 is |M|^2 for symmetrised Gaussian A and symmetric M."""
  some = drawn(train=2000)
  np.testing.assert_allclose(np.mean(np.square(some.train.y)), np.sum(np.square(some.test.y)), rtol=0.1)


def test_outliers_hit_their_share_of_the_measurements_and_noise_all_of_them():
  plain, hit, noisy = (drawn(share, train=2000, **more) for share, more in ((0.0, {}), (0.3, {}), (0.0, {'noise': 0.1})))
  gap = np.asarray(hit.train.y - plain.train.y)[:, 0]
  assert abs(np.mean(gap != 0) - 0.3) < 0.05
  np.testing.assert_allclose(gap[gap != 0].std(), 10, rtol=0.1)
  np.testing.assert_array_equal(hit.test.y, plain.test.y)
  np.testing.assert_allclose(np.std(np.asarray(noisy.train.y - plain.train.y)), 0.1, rtol=0.1)


@pytest.mark.parametrize(
  ('choices', 'sentence'),
  [
    (dict(columns=4), 'rows is 5 and columns 4'),
    (dict(singular=(1.0,) * 6), 'singular has 6 values; it must have 1 to 5'),
    (dict(dtype='float64'), "set loss.dtype to 'float64'"),
  ],
)
def test_what_cannot_be_drawn_is_told(choices, sentence):
  with pytest.raises(ValueError, match=sentence):
    drawn(**choices)


# ---- model and start --------------------------------------------------------------------------------------------


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('symmetric', [True, False])
def test_a_factorisation_answers_as_its_product_and_its_gradient_is_the_textbooks(wide, symmetric, dtype):
  module = models.factorisation(width=3, symmetric=symmetric, outputs=1)
  rng = np.random.default_rng(0)
  a, columns = rng.normal(size=(6, 5, 5 if symmetric else 4)), 5 if symmetric else 4
  x, c = jnp.asarray(a, dtype), jnp.asarray(rng.normal(size=(6, 1)), dtype)
  variables = jax.jit(module.init)(KEY, x)
  params = {name: np.asarray(w, np.float64) for name, w in variables['params'].items()}
  assert {w.dtype for w in variables['params'].values()} == {jnp.dtype(dtype)}
  f = params['left']
  g = f.T if symmetric else params['right']
  assert g.shape == (3, columns)
  out, grads = jax.value_and_grad(lambda v: jnp.sum(c * module.apply(v, x)))(variables)
  np.testing.assert_allclose(out, sum(float(w) * np.sum(one * (f @ g)) for w, one in zip(c[:, 0], a, strict=True)), rtol=1e-4)
  e = sum(float(w) * one for w, one in zip(c[:, 0], a, strict=True))
  expected = {'left': (e + e.T) @ f} if symmetric else {'left': e @ g.T, 'right': f.T @ e}
  for name, value in expected.items():
    np.testing.assert_allclose(grads['params'][name], value, atol=1e-5)


@pytest.mark.parametrize('symmetric', [True, False])
def test_columns_beyond_the_rank_are_zero_and_stay_so_and_scales_are_those_asked_for(symmetric):
  module = models.factorisation(width=40, symmetric=symmetric, outputs=1)
  x = jnp.asarray(np.random.default_rng(1).normal(size=(9, 50, 50)), jnp.float32)
  leaves = network.from_flax(module, x).leaves()
  start = lambda **hyper: inits.factors(**{name: jnp.float32(value) for name, value in hyper.items()})(KEY, leaves, None)
  full, some = start(init_scale=0.1), start(init_scale=0.1, factor_rank=3.0, right_scale=0.5)
  np.testing.assert_allclose(np.std(full['left']) * 50**0.5, 0.1, rtol=0.1)
  np.testing.assert_array_equal(some['left'][:, :3], full['left'][:, :3])
  assert not some['left'][:, 3:].any()
  if not symmetric:
    np.testing.assert_allclose(some['right'][:3], 0.5 * full['right'][:3], rtol=1e-6)
    np.testing.assert_allclose(np.std(full['right']) * 50**0.5, 0.1, rtol=0.1)
    assert not some['right'][3:].any()
  grads = jax.grad(lambda params: jnp.sum(jnp.square(module.apply({'params': params}, x) - 1)))(some)
  assert not grads['left'][:, 3:].any()
  assert grads['left'][:, :3].any()


@pytest.mark.parametrize(
  ('module', 'shape'),
  [
    (models.mlp(2, widths=(3, 3)), (4,)),
    (nn.Sequential([nn.Dense(3), lambda x: x[:, :2], nn.Dense(5)]), (4,)),
    (nn.Conv(2, (3, 3)), (5, 5, 1)),
  ],
)
def test_factors_start_one_matrix_or_two(module, shape):
  leaves = network.from_flax(module, jnp.zeros((1, *shape))).leaves()
  with pytest.raises(ValueError, match='factors start one matrix, or two whose product is one'):
    inits.factors()(KEY, leaves, None)


@pytest.mark.parametrize('x', [jnp.zeros((3, 4)), jnp.zeros((3, 4, 4), jnp.int32), jnp.zeros((3, 4, 5))])
def test_a_factorisation_says_what_it_cannot_read(x):
  with pytest.raises(ValueError, match=r'a factorisation answers|symmetric factors need square'):
    jax.eval_shape(models.factorisation(outputs=1).init, KEY, x)
