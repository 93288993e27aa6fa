"""Losses against closed forms in numpy float64, and what the dtype of their arithmetic does."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import losses

rng = np.random.default_rng(0)
Z, Y = rng.normal(0, 3, (7, 5)), np.array([0, 4, 2, 2, 1, 3, 0])
T = rng.normal(0, 1, (7, 5))
Z1, Y1 = rng.normal(0, 2, (7, 1)), np.array([0, 1, 1, 0, 1, 0, 1])
ROWS = np.arange(7)


def softmax_loss(z, y):
  return np.log(np.exp(z).sum(1)) - z[ROWS, y]


def stable(z, y):
  s = np.where(z >= 0, z + 1, 1 / (1 - np.minimum(z, 0)))
  return np.log(s.sum(1)) - np.log(s[ROWS, y])


def squares(z, y):
  y = np.eye(5)[y] if y.ndim == 1 else y
  return 0.5 * ((z - y) ** 2).sum(1)


def distances(z, y):
  return np.abs(z - (np.eye(5)[y] if y.ndim == 1 else y)).sum(1)


def hinged(z, y, margin=1.0):
  if z.shape[1] == 1:
    return np.maximum(0, margin - (2 * y - 1) * z[:, 0])
  others = np.array([max(np.delete(row, label)) for row, label in zip(z, y, strict=True)])
  return np.maximum(0, margin - (z[ROWS, y] - others))


TABLE = {
  'cross_entropy': (losses.cross_entropy, {}, softmax_loss, Z, Y),
  'stablemax': (losses.stablemax, {}, stable, Z, Y),
  'squares of labels': (losses.mean_squared_error, {}, squares, Z, Y),
  'squares of targets': (losses.mean_squared_error, {}, squares, Z, T),
  'distances to labels': (losses.mean_absolute_error, {}, distances, Z, Y),
  'distances to targets': (losses.mean_absolute_error, {}, distances, Z, T),
  'hinge of many': (losses.hinge, {}, hinged, Z, Y),
  'hinge of one': (losses.hinge, {}, hinged, Z1, Y1),
  'hinge, margin': (losses.hinge, {'margin': 2.5}, lambda z, y: hinged(z, y, 2.5), Z, Y),
}
table = pytest.mark.parametrize('name', TABLE)


TOLERANCES = {'float16': 1e-2, 'bfloat16': 6e-2, 'float32': 1e-5, 'float64': 1e-6}


def targets(y, dtype):
  return y.astype(np.int32 if y.ndim == 1 else dtype)


@functools.cache
def computed():
  """All rows of the table in one program, because each would take longer to compile than to run."""

  def doubles(name):
    make, choices, _, z, y = TABLE[name]
    loss, t = make(dtype='float64', **choices), targets(y, np.float64)
    return loss(jnp.asarray(z), t), jax.grad(lambda x: jnp.sum(loss(x, t)))(jnp.asarray(z))

  def narrow(name, dtype):
    """Losses of outputs z w, the gradient in w, and the losses of z and of z rounded to `dtype`."""
    make, choices, _, z, y = TABLE[name]
    loss, t, z32 = make(dtype=dtype, **choices), targets(y, np.float32), jnp.asarray(z, jnp.float32)
    each, pull = jax.vjp(lambda w: loss(z32 @ w, t), jnp.eye(z.shape[1], dtype=jnp.float32))
    mean = losses.mean(each.astype(jnp.float16))
    return each, pull(jnp.ones_like(each))[0], mean, loss(z32, t), loss(z32.astype(dtype).astype(jnp.float32), t)

  with jax.enable_x64(True):
    rows = lambda: ({n: doubles(n) for n in TABLE}, {(n, dtype): narrow(n, dtype) for n in TABLE for dtype in TOLERANCES})
    return jax.device_get(jax.jit(rows)())


@table
def test_value_and_gradient_in_float64(name):
  (_, _, oracle, z, y), step = TABLE[name], 1e-6
  each, gradient = computed()[0][name]
  np.testing.assert_allclose(each, oracle(z, y), rtol=1e-13, atol=1e-15)
  moved = lambda k, by: oracle(z + by * np.eye(z.shape[1])[k], y)
  slopes = np.stack([(moved(k, step) - moved(k, -step)) / (2 * step) for k in range(z.shape[1])], axis=1)
  np.testing.assert_allclose(gradient, slopes, atol=1e-8)


@table
@pytest.mark.parametrize(('dtype', 'rtol'), TOLERANCES.items())
def test_only_the_outputs_are_cast_and_gradients_come_back_in_float32(name, dtype, rtol):
  _, _, oracle, z, y = TABLE[name]
  each, gradient, mean, direct, rounded = computed()[1][name, dtype]
  chex.assert_type(each, jnp.dtype(dtype))
  chex.assert_type([gradient, mean], np.float32)
  np.testing.assert_allclose(each.astype(np.float64), oracle(z, y), rtol=rtol, atol=10 * rtol)
  # The arithmetic is really done in `dtype`: the outputs are rounded before anything else.
  np.testing.assert_array_equal(direct, rounded)


@pytest.mark.parametrize('make', [getattr(losses, name) for name in losses.__all__])
def test_float64_without_64_bit_mode_says_what_to_do(make):
  with pytest.raises(ValueError, match='jax_enable_x64'):
    make(dtype='float64')


def test_stablemax_gradient_is_finite_everywhere_and_one_at_zero(wide):
  loss = losses.stablemax()
  z = np.asarray([[1.0, 0.0], [0.0, 1.0], [1e4, -1e4], [-1e4, 1e4], [1.0, 1.0]])
  gradient = jax.device_get(jax.jit(jax.grad(lambda z: jnp.sum(loss(z, jnp.zeros(5, jnp.int32)))))(z))
  chex.assert_tree_all_finite(gradient)
  # At z = 0 the slope of s is 1 from both sides: d/dz1 log(s0 + s1) = 1 / (2 + 1).
  np.testing.assert_allclose(gradient[0], [1 / 3 - 1 / 2, 1 / 3], rtol=1e-12)


@pytest.mark.parametrize('dtype', ['float16', 'bfloat16', 'float32', 'float64'])
def test_cross_entropy_is_exactly_zero_from_half_a_unit_of_roundoff_on(wide, dtype):
  """1 + e is rounded to 1 from e = eps / 2 on; the true loss there is still e."""
  loss, edge = losses.cross_entropy(dtype=dtype), -np.log(float(jnp.finfo(dtype).eps) / 2)
  z = np.asarray([[edge * 0.98, 0.0], [edge * 1.02, 0.0], [0.0, edge * 1.02]])

  @jax.jit
  def both(z):
    each, pull = jax.vjp(lambda z: loss(z, np.asarray([0, 0, 1], np.int32)), z)
    return each, pull(jnp.ones_like(each))[0]

  each, gradient = jax.device_get(both(z))
  np.testing.assert_array_equal(each == 0, [False, True, True])
  assert (gradient[[1, 2], [0, 1]] == 0).all()


@pytest.mark.parametrize(
  ('outputs', 'y', 'right'),
  [
    ([[1.0, 2.0], [2.0, 1.0], [np.nan, 1.0], [0.0, np.inf]], np.array([1, 1, 1, 1]), [True, False, False, False]),
    ([[0.5], [-0.5], [np.nan], [0.0]], np.array([1, 1, 0, 0]), [True, False, False, True]),
    ([[1.0, 2.0], [2.0, 1.0]], np.array([[0.0, 0.1], [-2.0, -1.0]]), [True, False]),
    ([[3.0], [3.0]], np.array([[2.0], [-1.0]]), [True, False]),
  ],
)
def test_correct(outputs, y, right):
  np.testing.assert_array_equal(jax.jit(losses.correct)(np.asarray(outputs, np.float32), targets(y, np.float32)), right)


def test_mean_of_half_precision_is_summed_in_float32():
  """In float16 the sum of 5000 ones stops at 2048."""
  assert losses.mean(jnp.ones(5000, jnp.float16)) == 1
