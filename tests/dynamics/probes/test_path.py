"""The walk of the weights and the potential around them, against numpy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import inits, losses, models, network, objectives, optim, probes, train, trees
from dynamics.data.sampling import sampler
from dynamics.study import Study
from dynamics.types import Batch, Data, Problem, StepInfo, Task, stateless

rng = np.random.default_rng(6)
X, Y = jnp.asarray(rng.normal(size=(12, 4)), jnp.float32), jnp.asarray(np.arange(12) % 3, jnp.int32)
DATA = Data(Batch(X, Y), Batch(X, Y))
STEPS, TIMES = 9, (0, 1, 4, 9)
MODEL = models.normalised_mlp(3, widths=(3,), activation='tanh', ghost=3)  # with batch statistics


def test_the_path_is_that_of_the_weights_of_every_step():
  """Three members, minibatches; the oracle sees the weights alone."""
  model = network.initialised(network.from_flax(MODEL, X), inits.gaussian())
  loss, task = losses.cross_entropy(), Task(lambda key: DATA, 3)
  weights = stateless(lambda view, key: jax.flatten_util.ravel_pytree(view.variables['params'])[0])
  made, objective = {'path': probes.path(), 'weights': weights}, objectives.supervised()(model, loss, None)

  def problem(hyper, source):
    return Problem(task, model, loss, objective, optim.momentum(lr=hyper['lr']), sampler(size=6), probes=made)

  study = Study(problem, STEPS, {'path': TIMES, 'weights': tuple(range(STEPS + 1))})
  arrays = train.run(study, (0, 1, 2), {'lr': (0.05, 0.1, 0.2)}).arrays
  w = arrays['weights'][''].values.swapaxes(0, 1).astype(np.float64)  # (t, m, p)
  u = np.diff(w, axis=0)
  size = np.linalg.norm(u, axis=-1)
  products = np.sum(u[1:] * u[:-1], axis=-1)  # of steps 1 and 0, 2 and 1, ...
  cosines = products / (size[1:] * size[:-1])
  for row, (first, last) in enumerate(zip((0, *TIMES), TIMES, strict=False)):
    away = np.linalg.norm(w[last] - w[0], axis=-1)
    pairs = slice(max(first - 1, 0), max(last - 1, 0))  # whose later step is among those since the last reading
    with np.errstate(invalid='ignore'):
      none = np.full(3, np.nan)
      expected = {
        'length': size[:last].sum(0),
        'straightness': away / size[:last].sum(0),
        'wander': away / np.sqrt((size[:last] ** 2).sum(0)),
        'cosine': cosines[pairs].mean(0) if cosines[pairs].size else none,
        'autocorrelation': products[pairs].sum(0) / (size[1:][pairs] ** 2).sum(0),
      }
    for name, value in expected.items():
      np.testing.assert_allclose(arrays['path'][name][:, row], value, rtol=2e-4, atol=2e-5, err_msg=f'{name} at {last}')


@pytest.fixture
def walked(probing):
  """The reading after these updates of a single parameter array."""
  probe = probes.path()

  @jax.jit
  def walk(updates):
    view = probing.view(lambda v, x: x, {'w': jnp.zeros(updates.shape[1])})
    step = lambda state, u: (probe.update(state, StepInfo(jnp.float32(0), {'w': u}, {'w': u}, None)), None)
    state, _ = jax.lax.scan(step, probe.init(view), updates)
    now = {**view.variables, 'params': {'w': jnp.sum(updates, axis=0)}}
    return probe.measure(view._replace(variables=now), state, None)[0]

  return walk


def test_walks_whose_statistics_are_known(walked):
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


@pytest.mark.parametrize(('slope', 'bend', 'alpha'), [(2.0, 0.0, 2), (0.0, 0.5, 4)])
def test_the_potential_of_a_plane_and_of_a_bowl(probing, slope, bend, alpha):
  """L = slope g.w + bend |w|^2 about w = 0: squares slope^2 r^2 |g|^2 / p on average, and bend^2 r^4."""
  p = 400
  g = jnp.asarray(rng.normal(size=p), jnp.float32)
  height = lambda variables, x: slope * (x @ variables['params']['w']) + bend * jnp.sum(variables['params']['w'] ** 2)[None]
  probe = probes.potential(nearest=0.5, farthest=8, points=5, directions=400)
  batch, loss = Batch(g[None], jnp.zeros(1, jnp.int32)), lambda z, y: z[:, 0]
  (out,) = probing.read(probe, probing.view(lambda v, x: height(v, x)[:, None], {'w': jnp.zeros(p)}, batch, loss=loss))
  np.testing.assert_allclose(out['distance'], [0.5, 1, 2, 4, 8], rtol=1e-5)
  np.testing.assert_allclose(out['exponent'], alpha, atol=1e-3)
  r = np.array([0.5, 1, 2, 4, 8])
  expected = slope**2 * r**2 * float(g @ g) / p + bend**2 * r**4
  assert (np.abs(out['square'] - expected) <= 4 * out['square_se'] + 1e-4 * expected).all()
  assert out['exponent_se'] < 1e-3


def test_the_potential_of_a_network_against_numpy_on_the_same_directions(probing, wide):
  """The directions are drawn again, by the names of the leaves; all else is numpy. A normalised network is evaluated."""
  loss, model = losses.mean_squared_error(dtype='float64'), network.from_flax(MODEL, X.astype(jnp.float64))
  variables = jax.tree.map(lambda v: v.astype(jnp.float64), model.init(jax.random.key(1), None))
  batch, count = Batch(X.astype(jnp.float64), Y), 3
  probe = probes.potential(nearest=0.2, farthest=5, points=4, directions=count)
  view = probing.view(model, variables['params'], batch, loss=loss)
  (out,) = probing.read(probe, view._replace(variables={**view.variables, **variables}), key=7)
  far, flat = np.geomspace(0.2, 5, 4), np.concatenate([np.ravel(v) for v in jax.tree.leaves(variables['params'])])
  unflatten = jax.flatten_util.ravel_pytree(variables['params'])[1]
  level = jax.jit(lambda w: jnp.mean(loss(model.apply({**variables, 'params': unflatten(w)}, batch.x), Y)))
  height = lambda w: float(level(jnp.asarray(w)))
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
