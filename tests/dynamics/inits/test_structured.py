"""Laws with a structure, and starts of all layers together: ranks, spectra, signs, blocks, norms, balance, and modes."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from dynamics.problem import supervised

from dynamics import data, inits, losses, models, optim, train
from dynamics.inits import describe
from dynamics.study import Study
from dynamics.types import Batch, stateless

KEY = jax.random.key(0, impl='threefry2x32')
STRUCTURED = {
  'low_rank': inits.low_rank(rank=3),
  'power_law': inits.power_law(exponent=1.5),
  'dale': inits.dale(excitatory=0.75),
  'block': inits.block(blocks=3),
}


def leaf_of(*shape):
  return describe({'a': {'kernel': jnp.zeros(shape)}})['a']['kernel']


def matrix(law, *shape, key=KEY):
  return np.asarray(law(key, leaf_of(*shape)), np.float64)


def spectrum(w):
  return np.linalg.svd(w, compute_uv=False)


@pytest.mark.parametrize('shape', [(12, 12), (16, 9), (9, 16), (3, 3, 2, 5)])
@pytest.mark.parametrize('name', STRUCTURED)
def test_every_structured_law_fixes_the_norm_and_follows_its_key(name, shape):
  w, other = matrix(STRUCTURED[name], *shape), matrix(STRUCTURED[name], *shape, key=jax.random.key(1))
  assert w.shape == shape
  np.testing.assert_allclose(np.linalg.norm(w), w.size**0.5, rtol=1e-6)
  np.testing.assert_allclose(np.linalg.norm(other), w.size**0.5, rtol=1e-6)
  assert not np.allclose(w, other)


@pytest.mark.parametrize(('rows', 'columns'), [(12, 12), (16, 10)])
def test_low_rank_is_the_best_approximation_of_one_gaussian_matrix_at_its_norm(rows, columns):
  full = matrix(inits.gaussian, rows, columns)
  u, s, vt = np.linalg.svd(full, full_matrices=False)
  for rank in (1, 2, 5, columns):
    w = matrix(inits.low_rank(rank=rank), rows, columns)
    best = (u[:, :rank] * s[:rank]) @ vt[:rank]
    np.testing.assert_allclose(w, best * (rows * columns) ** 0.5 / np.linalg.norm(best), atol=2e-5)
    assert (spectrum(w) > 1e-4).sum() == rank


def test_low_rank_reads_the_directions_it_is_given_and_keeps_its_spectrum():
  axes = np.linalg.qr(np.random.default_rng(0).normal(size=(12, 4)))[0]
  w, random = (matrix(inits.low_rank(*d, rank=2), 12, 7) for d in ((jnp.asarray(axes, jnp.float32),), ()))
  np.testing.assert_allclose(spectrum(w), spectrum(random), atol=1e-5)
  np.testing.assert_allclose(axes[:, :2] @ axes[:, :2].T @ w, w, atol=1e-5)
  assert np.linalg.norm(axes[:, :2].T @ random) < 0.9 * np.linalg.norm(random)  # the control


@pytest.mark.parametrize('exponent', [0.0, 0.5, 2.0])
def test_power_law_has_its_exponent(exponent):
  s = spectrum(matrix(inits.power_law(exponent=exponent), 14, 9))
  np.testing.assert_allclose(s / s[0], np.arange(1.0, 10) ** -exponent, rtol=1e-4)


def test_dale_gives_a_unit_one_sign_and_balances_the_two():
  w = matrix(inits.dale(excitatory=0.8), 200, 200)
  assert (w[:160] > 0).all()
  assert (w[160:] < 0).all()
  columns = w.sum(0)
  assert abs(columns.mean()) < 5 * columns.std() / 200**0.5
  np.testing.assert_allclose(-w[160:].mean() / w[:160].mean(), 4, rtol=0.03)
  radius = lambda w: np.abs(np.linalg.eigvals(w)).max() / 200**0.5
  assert radius(w) < 1.3
  assert radius(np.abs(w)) > 4  # the control: an unbalanced mean stands out


@pytest.mark.parametrize(('rows', 'columns', 'blocks'), [(12, 12, 3), (10, 7, 4), (5, 5, 1)])
def test_blocks_are_full_and_the_rest_is_zero(rows, columns, blocks):
  w = matrix(inits.block(blocks=blocks), rows, columns)
  inside = np.array([[i * blocks // rows == j * blocks // columns for j in range(columns)] for i in range(rows)])
  np.testing.assert_array_equal(w != 0, inside)
  assert len(np.unique(np.arange(rows) * blocks // rows)) == blocks


@pytest.mark.parametrize(
  ('law', 'sentence'),
  [
    (inits.low_rank(rank=5), 'rank is 5, but a/kernel is 6 x 4: take 4 at most'),
    (inits.low_rank(jnp.eye(6, 1), rank=2), 'a/kernel is 6 x 4 and rank is 2, but there are 1 directions of length 6'),
    (inits.low_rank(jnp.eye(5, 3), rank=2), 'there are 3 directions of length 5'),
    (inits.block(blocks=5), 'blocks is 5, but a/kernel is 6 x 4: take 4 at most'),
    (inits.dale(excitatory=0.01), 'excitatory is 0.01, which makes 0 of the 6 units'),
  ],
)
def test_a_law_that_does_not_fit_a_leaf_says_so(law, sentence):
  with pytest.raises(ValueError, match=sentence):
    law(KEY, leaf_of(6, 4))


RNN = {
  'input': {'kernel': jnp.zeros((3, 8))},
  'recurrent': {'kernel': jnp.zeros((8, 8)), 'bias': jnp.zeros(8)},
  'readout': {'kernel': jnp.zeros((8, 2))},
}


def test_a_law_is_placed_where_the_pattern_says_and_nowhere_else():
  hyper = {'init_scale': jnp.float32(2)}
  some = inits.placed('recurrent/*', inits.low_rank(rank=2), inits.uniform)(KEY, describe(RNN), hyper)
  plain = inits.independent(inits.uniform)(KEY, describe(RNN), hyper)
  for name in ('input', 'readout'):
    np.testing.assert_array_equal(some[name]['kernel'], plain[name]['kernel'])
  assert (spectrum(np.asarray(some['recurrent']['kernel'])) > 1e-5).sum() == 2
  np.testing.assert_allclose(np.linalg.norm(some['recurrent']['kernel']), 2 * 8**0.5, rtol=1e-6)  # std 1/sqrt(8), 64 entries
  assert (some['recurrent']['bias'] == 0).all()
  with pytest.raises(ValueError, match="no weight matches 'recurrent'; they are input/kernel, recurrent/kernel, readout/kernel"):
    inits.placed('recurrent', inits.low_rank(rank=2))(KEY, describe(RNN), {})


def test_a_gain_multiplies_the_placed_weights_alone():
  init = inits.placed('recurrent/*', inits.low_rank(rank=2), inits.uniform)
  plain, tripled = init(KEY, describe(RNN), {}), init(KEY, describe(RNN), {'gain': jnp.float32(3)})
  np.testing.assert_allclose(tripled['recurrent']['kernel'], 3 * np.asarray(plain['recurrent']['kernel']), rtol=1e-6)
  for name in ('input', 'readout'):
    np.testing.assert_array_equal(tripled[name]['kernel'], plain[name]['kernel'])


# ---- balanced and aligned ---------------------------------------------------------------------------------------


def chain(*sides):
  names = ['input', *(f'hidden_{i}' for i in range(1, len(sides) - 2)), 'readout'][-len(sides) + 1 :]
  return {n: {'kernel': jnp.zeros(s), 'bias': jnp.zeros(s[1])} for n, s in zip(names, itertools.pairwise(sides), strict=True)}


def kernels(params, sides):
  return [np.asarray(params[name]['kernel'], np.float64) for name in chain(*sides)]


@pytest.mark.parametrize('sides', [(5, 4), (6, 9, 4), (7, 5, 11, 8, 6), (6,) * 13])
def test_a_balanced_start_is_balanced_and_its_product_has_the_scale(sides):
  draw = jax.jit(lambda key, scale: inits.balanced()(key, describe(chain(*sides)), {'init_scale': scale}))
  for scale in (1.0, 1e-3):
    params = draw(KEY, jnp.float32(scale))
    ws = kernels(params, sides)
    for a, b in itertools.pairwise(ws):
      np.testing.assert_allclose(a.T @ a, b @ b.T, atol=1e-6)
    s = spectrum(np.linalg.multi_dot([*ws, np.eye(sides[-1])]))
    np.testing.assert_allclose(s[: min(sides)], scale, rtol=1e-4)
    np.testing.assert_allclose(s[min(sides) :], 0, atol=1e-6 * scale)
    assert all((params[name]['bias'] == 0).all() for name in params)
    assert not np.allclose(kernels(draw(jax.random.key(1), jnp.float32(scale)), sides)[0], ws[0], atol=0.01 * scale)


@pytest.mark.parametrize(
  ('shapes', 'directions', 'sentence'),
  [
    ({'a': (4, 5), 'b': (6, 2)}, (), r'b is \(6, 2\) after a, \(4, 5\)'),
    ({'a': (3, 3, 4, 5), 'b': (5, 2)}, (), r'after a, \(3, 3, 4, 5\)'),
    ({'a': (4, 5), 'b': (5, 2)}, (jnp.eye(3, 2), None), 'directions have length 3, but the network has 4 inputs'),
    ({'a': (4, 5), 'b': (5, 2)}, (None, jnp.eye(3, 2)), 'directions have length 3, but the network has 2 outputs'),
  ],
)
def test_a_network_that_is_no_chain_cannot_be_balanced(shapes, directions, sentence):
  with pytest.raises(ValueError, match=sentence):
    inits.balanced(*directions)(KEY, describe({n: jnp.zeros(s) for n, s in shapes.items()}), {})


@pytest.mark.parametrize('labels', [None, 1, 3])
def test_the_correlation_and_the_principal_axes_against_numpy(labels):
  rng = np.random.default_rng(2)
  x = rng.normal(size=(20, 2, 3)).astype(np.float32)
  y = rng.normal(size=(20, 4)).astype(np.float32) if labels is None else rng.integers(0, max(labels, 2), 20).astype(np.int32)
  dense = y if labels is None else np.eye(3)[y] if labels == 3 else 2.0 * y[:, None] - 1
  u, s, v = inits.correlation(Batch(jnp.asarray(x), jnp.asarray(y)), labels or 4)
  flat = x.reshape(20, 6)
  np.testing.assert_allclose((u * s[None]) @ v.T, dense.T @ flat / 20, atol=1e-5)
  np.testing.assert_allclose(np.asarray(v).T @ v, np.eye(len(s)), atol=1e-5)
  axes, covariance = np.asarray(inits.principal(Batch(jnp.asarray(x), jnp.asarray(y)))), np.cov(flat.T)
  values = np.diag(axes.T @ covariance @ axes)
  np.testing.assert_allclose(axes.T @ covariance @ axes, np.diag(values), atol=1e-5)
  assert (np.diff(values) < 0).all()
  with pytest.raises(ValueError, match='these inputs are tokens'):
    inits.correlation(Batch(jnp.zeros((3, 2), jnp.int32), jnp.zeros(3, jnp.int32)), 2)


@pytest.mark.parametrize('depth', [2, 4])
def test_from_an_aligned_start_each_mode_learns_by_itself_as_the_theory_says(depth):
  """1312.6120: da/dt = depth a^(2 - 2/depth) (s - a), and for depth 2 a(t) = s e^(2st) / (e^(2st) - 1 + s/a0).

  Each member draws its own map; the start must look at that one. The modes are read along the map's own directions, taken
  from numpy.
  """
  singular, a0, lr, steps, times = (3.0, 2.0, 1.0), 0.05, 1e-3, 3000, tuple(range(0, 3001, 100))
  task, loss = data.linear_map(singular=singular, inputs=6, outputs=5), losses.mean_squared_error()
  module = models.linear(widths=(7,) * (depth - 1), outputs=5)
  shape = jax.ShapeDtypeStruct((1, 6), jnp.float32)
  problem = supervised(module, shape, loss, init=inits.balanced(), init_from=inits.aligned(5))
  read = stateless(lambda view, key: {'map': problem.apply(view.variables, view.data.test.x).T, 'y': view.data.test.y.T})
  study = Study(problem, optim.optimizer(optim.sgd), task.draw, {'read': read}, {'read': times}, steps, own_data=True)
  table = train.run(study, (0, 1), {'lr': lr, 'init_scale': a0}).tables['read']
  expected = np.array([ode(s, a0, depth, lr, steps)[list(times)] for s in singular]).T
  if depth == 2:
    t = lr * np.array(times)
    closed = np.array([s * np.exp(2 * s * t) / (np.exp(2 * s * t) - 1 + s / a0) for s in singular]).T
    np.testing.assert_allclose(expected, closed, atol=0.02)
  for member in range(2):
    u, s, vt = np.linalg.svd(table['y'][0, member] / 6**0.5)
    np.testing.assert_allclose(s[:3], singular, rtol=1e-5)
    inside = np.einsum('ok,tod,dr->tkr', u[:, :5], table['map'][:, member] / 6**0.5, vt[:5].T)
    modes = np.stack([inside[:, i, i] for i in range(3)], axis=1)
    np.testing.assert_allclose(modes, expected, atol=0.01)
    off = inside - np.stack([np.diag([*row, 0, 0]) for row in modes])
    assert max(np.abs(off[:, :3]).max(), np.abs(off[:, :, :3]).max()) < 1e-3
  assert not np.allclose(table['y'][0, 0], table['y'][0, 1])
  assert (expected[-1] > 0.5 * np.array(singular)).any()


def ode(s, a, depth, lr, steps):
  """Small Euler steps of one mode, ten a step of training."""
  out = [a]
  for _ in range(steps):
    for _ in range(10):
      a += lr / 10 * depth * a ** (2 - 2 / depth) * (s - a)
    out.append(a)
  return np.array(out)
