"""The probes of factorised matrices, recovery and balance, against numpy in float64."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import data, inits, losses, models, network, objectives, optim, probes, train
from dynamics.data.sampling import sampler
from dynamics.study import Study
from dynamics.types import Batch, Problem

rng = np.random.default_rng(8)


def answers(variables, x):
  return x.reshape((x.shape[0], -1)) @ variables['params'].reshape((-1, 1))


def entries(m):
  """One example an entry of the matrix."""
  return Batch(jnp.eye(m.size, dtype=m.dtype).reshape((-1, *m.shape)), m.reshape((-1, 1)))


@pytest.mark.parametrize(('dtype', 'shape', 'rank'), [('float32', (5, 5), 1), ('float64', (6, 4), 2), ('float64', (3, 7), 1)])
def test_recovery_against_dense_projectors(probing, wide, dtype, shape, rank):
  m = rng.normal(size=(shape[0], 2)) @ np.diag([3.0, 1.0]) @ rng.normal(size=(2, shape[1]))
  recovered, probe = m + 0.1 * rng.normal(size=shape), probes.recovery(rank=rank)
  cast = lambda a: jnp.asarray(np.stack([a, 2 * a]), dtype)  # two members under vmap

  @jax.jit
  @jax.vmap
  def both(params, m):
    view = probing.view(answers, params, entries(m))
    return probe.measure(view, probe.init(view), None)[0]

  out = jax.tree.map(lambda x: np.asarray(x[0], np.float64), both(cast(recovered), cast(m)))
  u, _, vt = np.linalg.svd(m)
  left, right = u[:, :rank] @ u[:, :rank].T, vt[:rank].T @ vt[:rank]
  out_left, out_right, gap = np.eye(shape[0]) - left, np.eye(shape[1]) - right, recovered - m
  expected = {
    'error': np.linalg.norm(gap),
    'relative': np.linalg.norm(gap) / np.linalg.norm(m),
    'signal': np.linalg.norm(left @ gap @ right),
    'cross': np.linalg.norm(left @ gap @ out_right + out_left @ gap @ right),
    'residual': np.linalg.norm(out_left @ gap @ out_right),
    'weakest': np.linalg.svd(left @ recovered @ right, compute_uv=False)[rank - 1],
  }
  for name, value in expected.items():
    np.testing.assert_allclose(out[name], value, rtol=1e-3 if dtype == 'float32' else 1e-11, err_msg=name)
  np.testing.assert_allclose(out['error'] ** 2, out['signal'] ** 2 + out['cross'] ** 2 + out['residual'] ** 2, rtol=1e-4)


@pytest.mark.parametrize(('rank', 'x', 'sentence'), [(1, (6, 5), 'one test example an entry'), (3, (4, 2, 2), 'rank is 3, but')])
def test_recovery_needs_the_entries_of_a_matrix(probing, rank, x, sentence):
  batch = Batch(jnp.zeros(x), jnp.zeros((x[0], 1)))
  with pytest.raises(ValueError, match=sentence):
    probes.recovery(rank=rank).init(probing.view(answers, {}, batch))


def test_balance_against_numpy(probing):
  sides = (5, 3, 6, 2)
  layers = lambda: {f'hidden_{i}': {'kernel': rng.normal(size=s)} for i, s in enumerate(itertools.pairwise(sides))}
  now, start = layers(), layers()
  cast = lambda tree: jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), tree)
  (out,) = probing.read(probes.balance(), probing.view(answers, cast(now), initial=cast(start)))
  d = lambda p, i: p[f'hidden_{i}']['kernel'].T @ p[f'hidden_{i}']['kernel'] - (v := p[f'hidden_{i + 1}']['kernel']) @ v.T
  for i in (0, 1):
    name, last, first = f'hidden_{i}/kernel', d(now, i), d(start, i)
    values = np.linalg.eigvalsh(last)
    np.testing.assert_allclose(out['imbalance_of'][name], np.linalg.norm(last), rtol=1e-4)
    np.testing.assert_allclose(out['drift_of'][name], np.linalg.norm(last - first) / np.linalg.norm(first), rtol=1e-4)
    np.testing.assert_allclose([out['smallest_of'][name], out['largest_of'][name]], values[[0, -1]], rtol=1e-3, atol=1e-4)
  assert len(out['drift_of']) == 2


@pytest.mark.parametrize('shapes', [((3, 4),), ((3, 4), (5, 2)), ((3, 4), (4, 2, 2))])
def test_balance_needs_a_chain_of_matrices(probing, shapes):
  params = {f'hidden_{i}': {'kernel': jnp.zeros(shape)} for i, shape in enumerate(shapes)}
  with pytest.raises(ValueError, match='balance needs'):
    probes.balance().init(probing.view(answers, params))


def test_gradient_flow_keeps_the_balance_and_finds_the_matrix_in_any_traced_number_of_columns(wide):
  """Ten times smaller steps drift ten times less; columns beyond the traced rank stay 0 to the bit."""
  task = data.matrix_sensing(rows=6, columns=5, symmetric=False, train=90, singular=(1.0,), dtype='float64')
  loss = losses.mean_squared_error(dtype='float64')
  factors = network.from_flax(models.factorisation(1, width=4, symmetric=False), jax.ShapeDtypeStruct((1, 6, 5), jnp.float64))
  made = {'balance': probes.balance(), 'recovery': probes.recovery()}

  def problem(hyper, source):
    names = ('factor_rank', 'init_scale', 'right_scale')
    model = network.initialised(factors, inits.factors(**{name: hyper[name] for name in names}))
    optimizer, objective = optim.sgd(lr=hyper['lr']), objectives.supervised()(model, loss, None)
    return Problem(task, model, loss, objective, optimizer, sampler(), probes=made)

  study = Study(problem, 2000, dict.fromkeys(made, (0, 2000)))
  hyper = {'lr': [0.1, 0.01, 0.1, 0.1], 'factor_rank': [3.0, 3.0, 1.0, 4.0], 'init_scale': 0.3, 'right_scale': 0.4}
  result = train.run(study, [0] * 4, hyper)
  fast, slow = result.arrays['balance']['drift_of/left'][:2, -1]
  assert 5 < fast / slow < 20
  assert slow < 0.02
  assert (result.arrays['recovery']['error'][:, -1] < [1e-3, 0.05, 1e-12, 1e-3]).all()
  left = result.state.variables['params']['left']
  assert not left[0, :, 3:].any()
  assert not left[2, :, 1:].any()
  assert left[3].all()
