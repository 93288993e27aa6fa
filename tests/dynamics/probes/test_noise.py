"""The probes of minibatch noise against numpy in float64, on dense gradients and Hessians."""

import functools
from typing import NamedTuple

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import losses, models, network, probes, trees
from dynamics.probes import noise
from dynamics.types import Batch, Data, View

N, EXAMPLES = 14, 11
rng = np.random.default_rng(8)
FLOATS, LABELS = rng.normal(size=(N, 3)), rng.integers(0, 3, N).astype(np.int32)
TOKENS = rng.integers(0, 4, size=(N, 2)).astype(np.int32)
CASES = {
  'mlp': (models.mlp(3, widths=(5,), activation='tanh'), FLOATS),
  'transformer': (models.transformer(3, 4, width=4, heads=2, expansion=1, activation='tanh', norm='none'), TOKENS),
}
SEED = 5
close = functools.partial(np.testing.assert_allclose, rtol=1e-6, atol=1e-12)


class Scene(NamedTuple):
  view: View
  vector: np.ndarray  # (p,)
  value: object  # (vector, x, y) -> mean loss


@pytest.fixture(scope='module')
def scene(probing):
  @functools.cache
  def make(name):
    module, x = CASES[name]
    model, draw, loss = network.from_flax(module, jnp.asarray(x)), np.random.default_rng(1), losses.cross_entropy(dtype='float64')
    shapes = jax.eval_shape(model.init, jax.random.key(0), None)['params']
    params = jax.tree.map(lambda w: jnp.asarray(0.8 * draw.normal(size=w.shape)), shapes)
    vector, back = jax.flatten_util.ravel_pytree(params)
    value = lambda w, x, y: jnp.mean(loss(model.apply({'params': back(w)}, x), y))
    return Scene(probing.view(model, params, Batch(jnp.asarray(x), jnp.asarray(LABELS)), loss=loss), vector, value)

  return make


@pytest.fixture
def reading(probing):
  return lambda probe, view: probing.read(probe, view, key=SEED)[0]


def moments(rows):
  """(tr C, |g|^2), unbiased, of gradients (n, p)."""
  trace = np.trace(np.atleast_2d(np.cov(rows.T, ddof=1)))
  return trace, np.sum(rows.mean(0) ** 2) - trace / len(rows)


def jackknife(rows):
  return np.array([moments(np.delete(rows, i, axis=0)) for i in range(len(rows))])


@pytest.mark.parametrize(('name', 'chunk'), [('mlp', 4), pytest.param('transformer', 64, marks=pytest.mark.slow)])
def test_gradient_noise_against_dense_gradients(scene, reading, wide, name, chunk):
  view, vector, value = scene(name)
  x, y = (a[:EXAMPLES] for a in view.data.train)
  gradient = jax.jit(jax.grad(value))
  rows = np.stack([np.asarray(gradient(vector, x[i : i + 1], y[i : i + 1])) for i in range(EXAMPLES)])
  read = reading(probes.gradient_noise(examples=EXAMPLES, chunk=chunk, leaves=True), view)
  trace, square = moments(rows)
  assert square > 0
  close(read['trace'], trace)
  close(read['gradient_square'], square)
  close(read['noise_scale'], trace / square)
  without = jackknife(rows)
  cov = (EXAMPLES - 1) * np.cov(without.T, ddof=0)
  slope = np.array([1 / square, -trace / square**2])
  close([read['trace_se'], read['gradient_square_se']], np.sqrt(np.diag(cov)))
  close(read['noise_scale_se'], np.sqrt(slope @ cov @ slope))
  g, c = rows.mean(0), np.cov(rows.T, ddof=1)
  close(read['along'], g @ c @ g / (g @ g) / np.trace(c))
  end = 0
  for path, w in trees.by_path(view.variables['params']).items():
    start, end = end, end + w.size
    trace, square = moments(rows[:, start:end])
    close(read['trace_of'][path], trace)
    close(read['gradient_square_of'][path], square)
    close(read['noise_scale_of'][path], trace / square if square > 0 else np.nan)


@pytest.fixture
def linear(probing):
  """The view of a loss <x_i, w>, whose gradients are the rows of x."""

  def view(x):
    x = jnp.asarray(x, jnp.float32)
    apply = lambda variables, x: (x * variables['params']['w'][None]).sum(1, keepdims=True)
    batch = Batch(x, jnp.zeros(x.shape[0], jnp.int32))
    return probing.view(apply, {'w': jnp.zeros(x.shape[1])}, batch, loss=lambda outputs, y: outputs[:, 0])

  return view


def test_estimates_are_unbiased_and_their_errors_true(linear):
  """Over 400 samples of 40 gradients from a normal of known mean and covariance; all in one `vmap`."""
  scales, mean = np.array([1.0, 0.5, 2.0]), np.array([1.0, -1.0, 0.5])
  x = (mean + scales * rng.normal(size=(400, 40, 3))).astype(np.float32)
  view, probe = linear(x[0]), probes.gradient_noise()
  many = lambda x: probe.measure(view._replace(data=Data(Batch(x, view.data.train.y), view.data.test)), (), None)[0]
  read = jax.device_get(jax.jit(jax.vmap(many))(x))
  for name, true in (('trace', np.sum(scales**2)), ('gradient_square', np.sum(mean**2))):
    spread = read[name].std(ddof=1)
    assert abs(read[name].mean() - true) < 4 * spread / 20, name
    np.testing.assert_allclose(np.sqrt(np.mean(read[f'{name}_se'] ** 2)), spread, rtol=0.15)
  good = read['noise_scale'][np.isfinite(read['noise_scale'])]
  close(np.median(good), np.sum(scales**2) / np.sum(mean**2), rtol=0.1)
  # The plug-in |g|^2 would be too large by tr(C) / n, which this test can see.
  assert np.sum(scales**2) / 40 > 4 * read['gradient_square'].std() / 20


def test_noise_that_is_small_beside_the_gradient_keeps_its_digits(linear, reading):
  """In float32, where the difference of mean squares would be rounding alone."""
  x = (1000 + rng.integers(-2, 3, size=(64, 3)) / 64).astype(np.float32)
  read = reading(probes.gradient_noise(), linear(x))
  trace, square = moments(x.astype(np.float64))
  close(read['trace'], trace, rtol=1e-3)
  close(read['noise_scale'], trace / square, rtol=1e-3)


def test_no_gradient_has_no_noise_scale(linear, reading):
  rows = np.array([[1.0, 0], [-1.0, 0], [0, 1.0], [0, -1.0]])
  read = reading(probes.gradient_noise(), linear(rows))
  assert np.isnan(read['noise_scale'])
  close(read['trace'], 4 / 3)
  close(read['gradient_square'], -1 / 3)


def test_a_jackknife_needs_three_examples(linear):
  with pytest.raises(ValueError, match='needs 3 examples or more cannot read 2'):
    probes.gradient_noise().init(linear(np.ones((2, 3))))


def batch_hessians(scene, rows):
  """The largest eigenvalue of the dense Hessian of each batch of rows (draws, size)."""
  x, y = scene.view.data.train
  dense = jax.jit(jax.hessian(scene.value))
  single = np.stack([np.asarray(dense(scene.vector, x[i : i + 1], y[i : i + 1])) for i in range(EXAMPLES)])
  return np.array([np.linalg.eigvalsh(single[r].mean(0))[-1] for r in rows])


@pytest.mark.parametrize('name', ['mlp', pytest.param('transformer', marks=pytest.mark.slow)])
def test_batch_curvature_against_dense_hessians(scene, reading, wide, name):
  sizes, draws, key = (4,), 4, jax.random.key(SEED)
  probe = probes.batch_curvature(examples=EXAMPLES, sizes=sizes, draws=draws, tolerance=1e-8)
  read, full = reading(probe, scene(name).view), batch_hessians(scene(name), [np.arange(EXAMPLES)])[0]
  close(read['full'], full)
  assert read['full_residual'] < 1e-6
  np.testing.assert_array_equal(read['size'], sizes)
  for i, size in enumerate(sizes):
    rows = np.stack([np.asarray(noise.minibatch(k, EXAMPLES, size)) for k in noise.batch_keys(key, size, draws)])
    values = batch_hessians(scene(name), rows)
    close(read['largest'][i], values.mean())
    close(read['largest_se'][i], values.std(ddof=1) / draws**0.5)
    close(read['excess'][i], values.mean() - full, atol=1e-6)
    assert read['residual'][i] < 1e-6


def test_minibatches_are_fresh_draws_with_replacement():
  draw = jax.vmap(lambda key: noise.minibatch(key, 5, 40))
  rows = np.asarray(draw(noise.batch_keys(jax.random.key(SEED), 40, 250)))
  assert rows.shape == (250, 40)
  counts = np.bincount(rows.ravel(), minlength=5)
  assert counts.size == 5
  assert np.sum((counts - 2000) ** 2 / 2000) < 18.5  # chi-squared of 4 degrees, one in a thousand
  share = (rows == 0).mean(axis=1)
  close(share.var(), 0.2 * 0.8 / 40, rtol=0.4)
  assert len({tuple(r) for r in rows}) == 250


def test_excess_over_the_whole_falls_as_one_over_the_size(probing, reading):
  """Hessians ((1, s_i), (s_i, 0)) with signs s_i of mean 0: that of a batch has a, the mean of its signs, for s_i.

  Its largest eigenvalue is (1 + sqrt(1 + 4 a^2)) / 2, near 1 + a^2, and the mean of a^2 is 1 / size.
  """
  signs = np.tile([1.0, -1.0], 32).astype(np.float32)[:, None]

  def apply(variables, x):
    w = variables['params']['w']
    return (w[0] ** 2 / 2 + x[:, 0] * w[0] * w[1])[:, None]

  batch = Batch(jnp.asarray(signs), jnp.zeros(64, jnp.int32))
  view = probing.view(apply, {'w': jnp.zeros(2)}, batch, loss=lambda outputs, y: outputs[:, 0])
  read = reading(probes.batch_curvature(sizes=(16, 64), draws=400), view)
  close(read['full'], 1, rtol=1e-5)
  for excess, se, size in zip(read['excess'], read['largest_se'], (16, 64), strict=True):
    a = 2 * np.random.default_rng(0).binomial(size, 0.5, 200_000) / size - 1
    expected = np.mean((1 + np.sqrt(1 + 4 * a**2)) / 2) - 1
    assert abs(excess - expected) < 4 * se
  assert read['excess'][0] - read['excess'][1] > 8 * read['largest_se'][0]
