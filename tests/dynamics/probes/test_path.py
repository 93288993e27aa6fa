"""The walk of the weights and the potential around them, against numpy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import inits, losses, models, optim, probes, train, trees
from dynamics.data.sampling import sampler
from dynamics.problem import supervised
from dynamics.study import Study
from dynamics.types import Batch, Data, Signal, View, stateless

rng = np.random.default_rng(6)
X, Y = jnp.asarray(rng.normal(size=(12, 4)), jnp.float32), jnp.asarray(np.arange(12) % 3, jnp.int32)
DATA = Data(Batch(X, Y), Batch(X, Y))
STEPS, TIMES = 9, (0, 1, 4, 9)
MODELS = [models.mlp(widths=(6,), outputs=3), models.normalised_mlp(widths=(5, 4), activation='tanh', ghost=3, outputs=3)]


@pytest.mark.parametrize('module', MODELS, ids=['mlp', 'normalised'])
def test_the_path_is_that_of_the_weights_of_every_step(module):
  """Three members, minibatches; the oracle sees the weights alone."""
  loss = losses.cross_entropy()
  x = jax.ShapeDtypeStruct((1, 4), jnp.float32)
  problem = supervised(module, x, loss, init=inits.independent(inits.gaussian), batch=sampler(size=6))
  weights = stateless(lambda view, key: jax.flatten_util.ravel_pytree(view.variables['params'])[0])
  made = {'path': probes.path(problem.apply, loss), 'weights': weights}
  times = {'path': TIMES, 'weights': tuple(range(STEPS + 1))}
  study = Study(problem, optim.optimizer(optim.momentum), lambda key, hyper: DATA, made, times, STEPS)
  tables = train.run(study, (0, 1, 2), {'lr': (0.05, 0.1, 0.2)}).tables
  w = tables['weights'][''].astype(np.float64)  # (t, m, p)
  u = np.diff(w, axis=0)
  size = np.linalg.norm(u, axis=-1)
  products = np.sum(u[1:] * u[:-1], axis=-1)  # of steps 1 and 0, 2 and 1, ...
  cosines = products / (size[1:] * size[:-1])
  for row, (first, last) in enumerate(zip((0, *TIMES), TIMES, strict=False)):
    gone = np.linalg.norm(w[last] - w[0], axis=-1)
    pairs = slice(max(first - 1, 0), max(last - 1, 0))  # whose later step is among those since the last reading
    with np.errstate(invalid='ignore'):
      none = np.full(3, np.nan)
      expected = {
        'length': size[:last].sum(0),
        'straightness': gone / size[:last].sum(0),
        'wander': gone / np.sqrt((size[:last] ** 2).sum(0)),
        'cosine': cosines[pairs].mean(0) if cosines[pairs].size else none,
        'autocorrelation': products[pairs].sum(0) / (size[1:][pairs] ** 2).sum(0),
      }
    for name, value in expected.items():
      np.testing.assert_allclose(tables['path'][name][row], value, rtol=2e-4, atol=2e-5, err_msg=f'{name} at {last}')


def walked(updates):
  """The reading after these updates of a single parameter array."""
  w0 = {'w': jnp.zeros(updates.shape[1])}
  probe = probes.path(None, None)
  memory = probe.init(View(jnp.int32(0), {'params': w0}, {'params': w0}, (), {}, None))
  for u in updates:
    memory = probe.update(memory, Signal(jnp.float32(0), {'w': u}, {'w': u}))
  now = {'params': {'w': jnp.asarray(updates.sum(0), jnp.float32)}}
  return probe.measure(View(jnp.int32(len(updates)), now, {'params': w0}, (), {}, None), memory, None)[0]


def test_walks_whose_statistics_are_known():
  line = walked(np.ones((16, 3), np.float32))
  for name, value in {'straightness': 1, 'wander': 4, 'cosine': 1, 'autocorrelation': 1}.items():
    np.testing.assert_allclose(line[name], value, rtol=1e-5)
  back = walked(np.float32([[1, 0], [-1, 0]] * 5))
  for name, value in {'length': 10, 'straightness': 0, 'wander': 0, 'cosine': -1, 'autocorrelation': -1}.items():
    np.testing.assert_allclose(back[name], value, atol=1e-6)
  rested = walked(np.float32([[1, 0], [0, 0], [1, 0], [1, 0]]))  # a step of no length has no direction
  np.testing.assert_allclose(rested['cosine'], 1)
  walk = walked(rng.normal(size=(60, 4000)).astype(np.float32))
  np.testing.assert_allclose(walk['wander'], 1, atol=0.05)
  np.testing.assert_allclose(walk['cosine'], 0, atol=0.01)


def measured(probe, params, batch, key=0, **more):
  view = View(jnp.int32(0), {'params': params, **more}, {'params': params}, (), {}, Data(batch, batch))
  return jax.jit(lambda v, k: probe.measure(v, (), k)[0])(view, jax.random.key(key))


@pytest.mark.parametrize(('slope', 'bend', 'alpha'), [(2.0, 0.0, 2), (0.0, 0.5, 4)])
def test_the_potential_of_a_plane_and_of_a_bowl(slope, bend, alpha):
  """L = slope g.w + bend |w|^2 about w = 0: squares slope^2 r^2 |g|^2 / p on average, and bend^2 r^4."""
  p = 400
  g = jnp.asarray(rng.normal(size=p), jnp.float32)
  height = lambda variables, x: slope * (x @ variables['params']['w']) + bend * jnp.sum(variables['params']['w'] ** 2)[None]
  probe = probes.potential(lambda v, x: height(v, x)[:, None], lambda z, y: z[:, 0], nearest=0.5, farthest=8, points=5,
                           directions=400)  # fmt: skip
  out = measured(probe, {'w': jnp.zeros(p)}, Batch(g[None], jnp.zeros(1, jnp.int32)))
  np.testing.assert_allclose(out['distance'], [0.5, 1, 2, 4, 8], rtol=1e-5)
  np.testing.assert_allclose(out['exponent'], alpha, atol=1e-3)
  r = np.array([0.5, 1, 2, 4, 8])
  expected = slope**2 * r**2 * float(g @ g) / p + bend**2 * r**4
  assert (np.abs(out['square'] - expected) <= 4 * out['square_se'] + 1e-4 * expected).all()
  assert out['exponent_se'] < 1e-3


@pytest.mark.parametrize('module', MODELS, ids=['mlp', 'normalised'])
def test_the_potential_of_a_network_against_numpy_on_the_same_directions(wide, module):
  """The directions are drawn again, by the names of the leaves; all else is numpy. A normalised network is evaluated."""
  loss = losses.mean_squared_error(dtype='float64')
  x = jax.ShapeDtypeStruct((1, 4), jnp.float64)
  problem = supervised(module, x, loss, init=inits.independent(inits.gaussian))
  variables = jax.tree.map(lambda v: v.astype(jnp.float64), problem.init(jax.random.key(1), {}))
  batch, count = Batch(X.astype(jnp.float64), Y), 3
  probe = probes.potential(problem.apply, loss, nearest=0.2, farthest=5, points=4, directions=count)
  out = measured(probe, variables['params'], batch, 7, **{n: v for n, v in variables.items() if n != 'params'})
  far, flat = np.geomspace(0.2, 5, 4), np.concatenate([np.ravel(v) for v in jax.tree.leaves(variables['params'])])
  unflatten = jax.flatten_util.ravel_pytree(variables['params'])[1]
  height = lambda w: float(np.mean(loss(problem.apply({**variables, 'params': unflatten(jnp.asarray(w))}, batch.x), Y)))
  squares = np.zeros((count, 4))
  for i in range(count):
    key = jax.random.fold_in(jax.random.key(7), i)
    shapes = trees.by_path(variables['params'])
    leaves = [np.ravel(jax.random.normal(trees.named_key(key, n), w.shape, jnp.float32)) for n, w in shapes.items()]
    z = np.concatenate(leaves).astype(np.float64)
    squares[i] = [(height(flat + r * z / np.linalg.norm(z)) - height(flat)) ** 2 for r in far]
  fit = lambda values: np.polyfit(np.log(far), np.log(values), 1)[0]
  without = np.array([fit(np.delete(squares, i, axis=0).mean(0)) for i in range(count)])
  np.testing.assert_allclose(out['square'], squares.mean(0), rtol=1e-3)
  np.testing.assert_allclose(out['square_se'], squares.std(0, ddof=1) / count**0.5, rtol=1e-3)
  np.testing.assert_allclose(out['exponent'], fit(squares.mean(0)), rtol=1e-3)
  np.testing.assert_allclose(out['exponent_se'], np.sqrt((count - 1) * without.var()), rtol=2e-3)
