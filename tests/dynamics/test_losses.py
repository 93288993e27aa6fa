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
MAKERS = {name: getattr(losses, name) for name in losses.__all__ if hasattr(getattr(losses, name), 'revision')}


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


@pytest.mark.parametrize('make', MAKERS.values(), ids=MAKERS)
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


# ---- what is no loss's input --------------------------------------------------------------------------------------

N, K = 6, 3
CLASSES, HOT = jnp.arange(N, dtype=jnp.int32) % K, jnp.zeros((N, K))
REFUSED = {  # outputs, targets, what the sentence says
  'numbers (n,) against one output': ((N, 1), jnp.zeros(N), r'the outputs are \(6, 1\), but the targets are float32\(6,\)'),
  'numbers (n, 1) against three outputs': ((N, K), jnp.zeros((N, 1)), r'\(6, 3\), but the targets are float32\(6, 1\)'),
  'labels (n, 1)': ((N, K), CLASSES[:, None], r'the outputs are \(6, 3\), but the labels are \(6, 1\): they must be \(6,\)'),
  'one-hot integers': ((N, K), HOT.astype(jnp.int32), r'the outputs are \(6, 3\), but the labels are \(6, 3\)'),
  'one-hot of as many classes as examples': (
    (K, K),
    jnp.eye(K, dtype=jnp.int32),
    r'the labels are \(3, 3\): they must be \(3,\)',
  ),
  'labels as floats': ((N, K), CLASSES.astype(jnp.float32), r'the targets are float32\(6,\): they must be labels \(6,\)'),
  'labels as booleans': (
    (N, K),
    CLASSES > 0,
    r'targets are bool\(6,\): they must be labels \(6,\) of whole numbers or targets \(6, 3\)',
  ),
  'other examples': ((N, K), CLASSES[:4], r'the outputs are \(6, 3\), but the labels are \(4,\)'),
  'labels of a narrow dtype': (
    (N, 300),
    CLASSES.astype(jnp.uint8),
    r'labels are uint8, .* the 300 classes of \(6, 300\): give int32',
  ),
  'labels from 1': ((N, K), CLASSES + 1, r'labels of targets go from 1 to 3, but with outputs \(n, 3\) they must be 0 to 2'),
  'labels below 0': ((N, K), CLASSES - 1, r'go from -1 to 1, but'),
  'complex targets': ((N, K), HOT.astype(jnp.complex64), r'the targets are complex64\(6, 3\): they must be'),
  'a row for all': ((N, K), jnp.zeros((1, K)), r'\(6, 3\), but the targets are float32\(1, 3\)'),
  'a number for all': ((N, K), jnp.zeros(()), r'\(6, 3\), but the targets are float32\(\)'),
  'one output alone': ((N,), CLASSES, r'a loss takes outputs \(n, k\), but the model answers \(6,\)'),
  'outputs of positions': ((2, N, K), CLASSES, r'a loss takes outputs \(n, k\), but the model answers \(2, 6, 3\)'),
}


@pytest.mark.parametrize('case', REFUSED)
@pytest.mark.parametrize('make', MAKERS.values(), ids=MAKERS)
def test_shapes_and_kinds_that_would_broadcast_are_refused_with_both_shapes(wide, make, case):
  shape, y, sentence = REFUSED[case]
  outputs, y = jnp.zeros(shape, jnp.float32), y.astype(jnp.float32) if y.dtype == jnp.float64 else y
  for call in (lambda z, y: losses.each(make(), z, y), losses.correct, make()):
    with pytest.raises(ValueError, match=sentence):
      call(outputs, y)


@pytest.mark.parametrize('make', [losses.cross_entropy, losses.stablemax, losses.hinge])
def test_one_hot_floats_are_no_labels(wide, make):
  with pytest.raises(ValueError, match=rf'{make.__name__} needs labels \(n,\) of whole numbers, but the targets are float'):
    losses.each(make(), jnp.zeros((N, K)), HOT)


@pytest.mark.parametrize(
  ('loss', 'gives'),
  [
    (lambda z, y: z, r'\(6, 3\)'),
    (lambda z, y: z[:, :1], r'\(6, 1\)'),
    (lambda z, y: jnp.mean(z), r'\(\)'),
    (lambda z, y: y, r'int32\(6,\)'),
    (lambda z, y: (z[:, 0],), 'a Python tuple'),
  ],
)
def test_a_loss_must_give_one_number_an_example(loss, gives):
  with pytest.raises(ValueError, match=rf'one number an example, \(6,\), but this one gives {gives}'):
    losses.each(loss, jnp.zeros((N, K)), CLASSES)


@pytest.mark.parametrize('kind', [jnp.int32, jnp.complex64])
def test_outputs_are_floats(kind):
  with pytest.raises(ValueError, match=rf'outputs \(n, k\) of floats, but the model answers {jnp.dtype(kind)}\(6, 3\)'):
    losses.each(lambda z, y: jnp.zeros(N), jnp.zeros((N, K), kind), CLASSES)


@pytest.mark.parametrize('dtype', ['uint8', 'int8', 'int32', 'uint32'])
@table
def test_labels_of_every_integer_dtype_are_the_same_labels(wide, name, dtype):
  make, choices, oracle, z, y = TABLE[name]
  if y.ndim == 1:
    each = losses.each(make(dtype='float64', **choices), jnp.asarray(z), jnp.asarray(y, dtype))
    np.testing.assert_allclose(each, oracle(z, y), rtol=1e-12)
    expected = y == (z.argmax(1) if z.shape[1] > 1 else z[:, 0] > 0)
    np.testing.assert_array_equal(losses.correct(jnp.asarray(z), jnp.asarray(y, dtype)), expected)


def test_a_label_that_no_class_has_is_nan_where_its_value_is_not_known(wide):
  z = jnp.zeros((2, K))
  for make in (losses.cross_entropy, losses.stablemax, losses.hinge):
    np.testing.assert_array_equal(np.isnan(jax.jit(make())(z, jnp.asarray([1, K], jnp.int32))), [False, True])


@pytest.mark.parametrize('make', [losses.cross_entropy, losses.stablemax])
def test_one_output_has_no_classes_to_compare(wide, make):
  with pytest.raises(ValueError, match=rf'{make.__name__} is 0 for a model with a single output, .* take the hinge loss'):
    losses.each(make(), jnp.zeros((N, 1)), CLASSES)
