"""The probes of factorised matrices, recovery and balance, against numpy in float64."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import data, inits, losses, models, optim, probes, study, train
from dynamics.problem import supervised
from dynamics.types import Batch, Data, View

rng = np.random.default_rng(8)


def answers(variables, x, train=False):
  return x.reshape((x.shape[0], -1)) @ variables['params'].reshape((-1, 1))


def view_of(params, m, anchor=None):
  x = jnp.eye(m.size, dtype=m.dtype).reshape((-1, *m.shape))
  batch = Batch(x, m.reshape((-1, 1)))
  return View(jnp.int32(0), {'params': params}, {'params': params if anchor is None else anchor}, (), {}, Data(batch, batch))


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('shape', [(5, 5), (6, 4), (3, 7)])
@pytest.mark.parametrize('rank', [1, 2])
def test_recovery_against_dense_projectors(wide, dtype, shape, rank):
  m = rng.normal(size=(shape[0], 2)) @ np.diag([3.0, 1.0]) @ rng.normal(size=(2, shape[1]))
  found = m + 0.1 * rng.normal(size=shape)
  probe = probes.recovery(answers, None, rank=rank)
  cast = lambda a: jnp.asarray(np.stack([a, 2 * a]), dtype)  # two members under vmap
  both = jax.jit(jax.vmap(lambda r, m: (lambda v: probe.measure(v, probe.init(v), KEY)[0])(view_of(r, m))))(cast(found), cast(m))
  out = jax.tree.map(lambda x: np.asarray(x[0], np.float64), both)
  u, _, vt = np.linalg.svd(m)
  left, right = u[:, :rank] @ u[:, :rank].T, vt[:rank].T @ vt[:rank]
  out_left, out_right, gap = np.eye(shape[0]) - left, np.eye(shape[1]) - right, found - m
  expected = {
    'error': np.linalg.norm(gap),
    'relative': np.linalg.norm(gap) / np.linalg.norm(m),
    'signal': np.linalg.norm(left @ gap @ right),
    'cross': np.linalg.norm(left @ gap @ out_right + out_left @ gap @ right),
    'residual': np.linalg.norm(out_left @ gap @ out_right),
    'weakest': np.linalg.svd(left @ found @ right, compute_uv=False)[rank - 1],
  }
  for name, value in expected.items():
    np.testing.assert_allclose(out[name], value, rtol=1e-3 if dtype == 'float32' else 1e-11, err_msg=name)
  np.testing.assert_allclose(out['error'] ** 2, out['signal'] ** 2 + out['cross'] ** 2 + out['residual'] ** 2, rtol=1e-4)


KEY = jax.random.key(0)


@pytest.mark.parametrize(('rank', 'x', 'sentence'), [(1, (6, 5), 'one test example an entry'), (3, (4, 2, 2), 'rank is 3, but')])
def test_recovery_needs_the_entries_of_a_matrix(rank, x, sentence):
  batch = Batch(jnp.zeros(x), jnp.zeros((x[0], 1)))
  view = View(jnp.int32(0), {}, {}, (), {}, Data(batch, batch))
  with pytest.raises(ValueError, match=sentence):
    probes.recovery(answers, None, rank=rank).init(view)


def test_balance_against_numpy():
  sides = (5, 3, 6, 2)
  layers = lambda: {f'hidden_{i}': {'kernel': rng.normal(size=s)} for i, s in enumerate(itertools.pairwise(sides))}
  now, start = layers(), layers()
  cast = lambda tree: jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), tree)
  probe, m = probes.balance(None, None), jnp.zeros((1, 1))
  out = jax.jit(lambda a, b: probe.measure(view_of(a, m, b), (), KEY)[0])(cast(now), cast(start))
  d = lambda p, i: p[f'hidden_{i}']['kernel'].T @ p[f'hidden_{i}']['kernel'] - (v := p[f'hidden_{i + 1}']['kernel']) @ v.T
  for i in (0, 1):
    name, one, first = f'hidden_{i}/kernel', d(now, i), d(start, i)
    values = np.linalg.eigvalsh(one)
    np.testing.assert_allclose(out['imbalance_of'][name], np.linalg.norm(one), rtol=1e-4)
    np.testing.assert_allclose(out['drift_of'][name], np.linalg.norm(one - first) / np.linalg.norm(first), rtol=1e-4)
    np.testing.assert_allclose([out['smallest_of'][name], out['largest_of'][name]], values[[0, -1]], rtol=1e-3, atol=1e-4)
  assert len(out['drift_of']) == 2


@pytest.mark.parametrize('shapes', [((3, 4),), ((3, 4), (5, 2)), ((3, 4), (4, 2, 2))])
def test_balance_needs_a_chain_of_matrices(shapes):
  params = {f'hidden_{i}': {'kernel': jnp.zeros(shape)} for i, shape in enumerate(shapes)}
  with pytest.raises(ValueError, match='balance needs'):
    probes.balance(None, None).init(view_of(params, jnp.zeros((1, 1))))


def test_gradient_flow_keeps_the_balance_and_finds_the_matrix_in_any_traced_number_of_columns(wide):
  """Ten times smaller steps drift ten times less; columns beyond the traced rank stay 0 to the bit."""
  task = data.matrix_sensing(rows=6, columns=5, symmetric=False, train=90, singular=(1.0,), dtype='float64')
  loss = losses.mean_squared_error(dtype='float64')
  module = models.factorisation(width=4, symmetric=False, outputs=1)
  problem = supervised(module, jax.ShapeDtypeStruct((1, 6, 5), jnp.float64), loss, init=inits.factors())
  made = {'balance': probes.balance(problem.apply, loss), 'recovery': probes.recovery(problem.apply, loss)}
  one = study.Study(problem, optim.optimizer(optim.sgd), task.draw, made, dict.fromkeys(made, (0, 2000)), 2000)
  hyper = {'lr': [0.1, 0.01, 0.1, 0.1], 'factor_rank': [3.0, 3.0, 1.0, 4.0], 'init_scale': 0.3, 'right_scale': 0.4}
  result = train.run(one, [0] * 4, hyper)
  fast, slow = result.tables['balance']['drift_of/left'][-1, :2]
  assert 5 < fast / slow < 20
  assert slow < 0.02
  assert (result.tables['recovery']['error'][-1] < [1e-3, 0.05, 1e-12, 1e-3]).all()
  left = result.state.variables['params']['left']
  assert not left[0, :, 3:].any()
  assert not left[2, :, 1:].any()
  assert left[3].all()
