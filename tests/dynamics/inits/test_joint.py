"""Starts of all layers together: balance, the directions of a task, and modes that learn by themselves."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import data, inits, leaves, losses, models, network, train
from dynamics.inits.directions import correlation, principal
from dynamics.inits.joint import along
from dynamics.types import Batch

KEY = jax.random.key(0, impl='threefry2x32')


def leaves_of(shapes, transposed=False):
  """The leaves of x W_1 W_2 ..., under these names."""

  def apply(variables, x):
    for w in variables['params'].values():
      x = x @ (w.T if transposed else w)
    return x

  params = {name: jax.ShapeDtypeStruct(shape, jnp.float32) for name, shape in shapes.items()}
  return leaves.describe(apply, {'params': params}, jnp.zeros((1, shapes['a'][1 if transposed else 0])))


def chain(*sides):
  return network.from_flax(models.linear(sides[-1], widths=sides[1:-1], bias=True), jnp.zeros((1, sides[0]))).leaves()


def kernels(params, described):
  return [np.asarray(params[leaf.name.split('/')[0]]['kernel'], np.float64) for leaf in leaves.weights(described)]


@pytest.mark.parametrize('sides', [(5, 4), (6, 9, 4), (7, 5, 11, 8, 6), (6,) * 13])
def test_a_balanced_start_is_balanced_and_its_product_has_the_scale(sides):
  described = chain(*sides)
  draw = jax.jit(lambda key, scale: inits.balanced(init_scale=scale)(key, described, None))
  for scale in (1.0, 1e-3):
    params = draw(KEY, jnp.float32(scale))
    ws = kernels(params, described)
    for a, b in itertools.pairwise(ws):
      np.testing.assert_allclose(a.T @ a, b @ b.T, atol=1e-6)
    s = np.linalg.svd(np.linalg.multi_dot([*ws, np.eye(sides[-1])]), compute_uv=False)
    np.testing.assert_allclose(s[: min(sides)], scale, rtol=1e-4)
    np.testing.assert_allclose(s[min(sides) :], 0, atol=1e-6 * scale)
    assert all((params[name]['bias'] == 0).all() for name in params)
    other = kernels(draw(jax.random.key(1), jnp.float32(scale)), described)[0]
    assert not np.allclose(other, ws[0], atol=0.01 * scale)


def test_a_chain_of_transposed_kernels_is_balanced_too():
  described = leaves_of({'a': (5, 6), 'b': (4, 5)}, transposed=True)
  params = inits.balanced(init_scale=2.0)(KEY, described, None)
  a, b = (np.asarray(params[name], np.float64).T for name in ('a', 'b'))
  np.testing.assert_allclose(a.T @ a, b @ b.T, atol=1e-6)
  np.testing.assert_allclose(np.linalg.svd(a @ b, compute_uv=False), 2, rtol=1e-5)


def test_what_is_no_chain_cannot_be_balanced():
  conv = network.from_flax(models.conv(2, channels=(4, 5), strides=(1, 1)), jnp.zeros((1, 3, 3, 2))).leaves()
  with pytest.raises(ValueError, match=r'hidden_1/kernel is \(3, 3, 4, 5\) after input/kernel, \(3, 3, 2, 4\)'):
    inits.balanced()(KEY, conv, None)
  apply = lambda v, x: (x @ v['params']['a'])[:, :4] @ v['params']['b']
  shapes = {'a': jax.ShapeDtypeStruct((4, 5), jnp.float32), 'b': jax.ShapeDtypeStruct((4, 2), jnp.float32)}
  with pytest.raises(ValueError, match=r'b is \(4, 2\) after a, \(4, 5\)'):
    inits.balanced()(KEY, leaves.describe(apply, {'params': shapes}, jnp.zeros((1, 4))), None)


@pytest.mark.parametrize(
  ('directions', 'sentence'),
  [
    ((jnp.eye(3, 2), None), 'directions have length 3, but the network has 4 inputs'),
    ((None, jnp.eye(3, 2)), 'directions have length 3, but the network has 2 outputs'),
  ],
)
def test_directions_of_another_length_are_refused(directions, sentence):
  with pytest.raises(ValueError, match=sentence):
    along(KEY, leaves_of({'a': (4, 5), 'b': (5, 2)}), 1.0, *directions)


@pytest.mark.parametrize('labels', [None, 1, 3])
def test_the_correlation_and_the_principal_axes_against_numpy(labels):
  rng = np.random.default_rng(2)
  x = rng.normal(size=(20, 2, 3)).astype(np.float32)
  y = rng.normal(size=(20, 4)).astype(np.float32) if labels is None else rng.integers(0, max(labels, 2), 20).astype(np.int32)
  dense = y if labels is None else np.eye(3)[y] if labels == 3 else 2.0 * y[:, None] - 1
  u, s, v = correlation(Batch(jnp.asarray(x), jnp.asarray(y)), labels or 4)
  flat = x.reshape(20, 6)
  np.testing.assert_allclose((u * s[None]) @ v.T, dense.T @ flat / 20, atol=1e-5)
  np.testing.assert_allclose(np.asarray(v).T @ v, np.eye(len(s)), atol=1e-5)
  axes, covariance = np.asarray(principal(Batch(jnp.asarray(x), jnp.asarray(y)))), np.cov(flat.T)
  values = np.diag(axes.T @ covariance @ axes)
  np.testing.assert_allclose(axes.T @ covariance @ axes, np.diag(values), atol=1e-5)
  assert (np.diff(values) < 0).all()
  if labels is not None:
    unsigned = correlation(Batch(jnp.asarray(x), jnp.asarray(y, jnp.uint8)), labels)
    np.testing.assert_array_equal(unsigned[1], s)
  with pytest.raises(ValueError, match='these inputs are tokens'):
    correlation(Batch(jnp.zeros((3, 2), jnp.int32), jnp.zeros(3, jnp.int32)), 2)
  with pytest.raises(ValueError, match=r'one array, but the inputs are a: float32\(20, 2, 3\)'):
    principal(Batch({'a': jnp.asarray(x)}, jnp.asarray(y)))


@pytest.mark.parametrize('depth', [2, 4])
def test_from_an_aligned_start_each_mode_learns_by_itself_as_the_theory_says(cases, depth):
  """1312.6120: da/dt = depth a^(2 - 2/depth) (s - a), and for depth 2 a(t) = s e^(2st) / (e^(2st) - 1 + s/a0).

  Each member draws its own map; the start must look at that one. The modes are read along the map's own directions, taken
  from numpy.
  """
  singular, a0, lr, steps, times = (3.0, 2.0, 1.0), 0.05, 1e-3, 3000, tuple(range(0, 3001, 100))
  task = data.linear_map(singular=singular, inputs=6, outputs=5)
  plain = network.from_flax(models.linear(5, widths=(7,) * (depth - 1)), jnp.zeros((1, 6)))
  model = lambda hyper: network.initialised(plain, inits.aligned(init_scale=hyper['init_scale']))
  read = {'read': lambda view: {'map': plain.apply(view.variables, view.data.test.x).T, 'y': view.data.test.y.T}}
  study = cases.study_of(model, task.draw(KEY), losses.mean_squared_error(), steps, read, times, task=task)
  table = train.run(study._replace(own_data=True), (0, 1), {'lr': lr, 'init_scale': a0}).arrays['read']
  expected = np.array([ode(s, a0, depth, lr, steps)[list(times)] for s in singular]).T
  if depth == 2:
    t = lr * np.array(times)
    closed = np.array([s * np.exp(2 * s * t) / (np.exp(2 * s * t) - 1 + s / a0) for s in singular]).T
    np.testing.assert_allclose(expected, closed, atol=0.02)
  for member in range(2):
    u, s, vt = np.linalg.svd(table['y'].values[member, 0] / 6**0.5)
    np.testing.assert_allclose(s[:3], singular, rtol=1e-5)
    inside = np.einsum('ok,tod,dr->tkr', u[:, :5], table['map'].values[member] / 6**0.5, vt[:5].T)
    modes = np.stack([inside[:, i, i] for i in range(3)], axis=1)
    np.testing.assert_allclose(modes, expected, atol=0.01)
    off = inside - np.stack([np.diag([*row, 0, 0]) for row in modes])
    assert max(np.abs(off[:, :3]).max(), np.abs(off[:, :, :3]).max()) < 1e-3
  assert not np.allclose(table['y'][0, 0], table['y'][1, 0])
  assert (expected[-1] > 0.5 * np.array(singular)).any()


def ode(s, a, depth, lr, steps):
  """Small Euler steps of one mode, ten a step of training."""
  out = [a]
  for _ in range(steps):
    for _ in range(10):
      a += lr / 10 * depth * a ** (2 - 2 / depth) * (s - a)
    out.append(a)
  return np.array(out)
