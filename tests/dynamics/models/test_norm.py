"""Ghost batch normalisation against flax's plain one, closed forms and finite differences, on one device and on four."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import inits, linalg, losses, models, network, objectives, parallel, probes, train, trees
from dynamics.models.norm import EPSILON, GhostNorm, decayed
from dynamics.types import Batch, Data

rng = np.random.default_rng(8)
KEY, N, D, ETA = jax.random.key(0), 12, 5, 0.3
X, Y = rng.normal(1, 2, (N, D)).astype(np.float32), (np.arange(N) % 3).astype(np.int32)
DATA = Data(Batch(jnp.asarray(X), jnp.asarray(Y)), Batch(jnp.asarray(X[:6] - 1), jnp.asarray(Y[:6])))


def module_of(ghost, widths=(7, 4), activation='tanh'):
  return models.normalised_mlp(widths=widths, activation=activation, ghost=ghost, rate=ETA, outputs=3)


def model_of(ghost, **choices):
  return network.initialised(network.from_flax(module_of(ghost, **choices), DATA.train.x), inits.gaussian())


def moved(variables):
  """Scales, shifts and running statistics away from their first values."""
  return jax.tree.map(lambda v: v + jnp.asarray(rng.uniform(0.1, 0.5, v.shape), v.dtype), variables)


def test_running_statistics_take_the_ghost_batches_in_turn():
  """The recursion r <- (1 - eta) r + eta s, one ghost batch after the other; over two steps too."""
  first, seen = rng.normal(size=4), rng.normal(size=(6, 4))
  expected = first
  for s in seen:
    expected = (1 - ETA) * expected + ETA * s
  whole = decayed(jnp.asarray(first, jnp.float32), jnp.asarray(seen, jnp.float32), ETA)
  np.testing.assert_allclose(whole, expected, rtol=1e-5, atol=1e-6)
  halves = decayed(decayed(jnp.asarray(first, jnp.float32), jnp.asarray(seen[:2], jnp.float32), ETA), seen[2:], ETA)
  np.testing.assert_allclose(halves, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('ghost', [3, 4, 12, 0])
def test_training_and_evaluation_against_numpy(ghost):
  layer = GhostNorm(ghost, ETA)
  variables = moved(layer.init(KEY, jnp.asarray(X), False))
  kept, scale, shift = variables['batch_stats'], *(np.asarray(variables['params'][n]) for n in ('scale', 'bias'))
  out, mutated = layer.apply(variables, jnp.asarray(X), True, mutable=['batch_stats'])
  rows, mean, var = [], np.asarray(kept['mean'], float), np.asarray(kept['var'], float)
  for part in X.astype(np.float64).reshape(-1, ghost or N, D):
    rows.append((part - part.mean(0)) / np.sqrt(part.var(0) + EPSILON) * scale + shift)
    mean, var = (1 - ETA) * mean + ETA * part.mean(0), (1 - ETA) * var + ETA * part.var(0)
  np.testing.assert_allclose(out, np.concatenate(rows), rtol=2e-5, atol=2e-5)
  np.testing.assert_allclose(mutated['batch_stats']['mean'], mean, rtol=1e-5, atol=1e-6)
  np.testing.assert_allclose(mutated['batch_stats']['var'], var, rtol=1e-5)
  expected = (X - np.asarray(kept['mean'])) / np.sqrt(np.asarray(kept['var']) + EPSILON) * scale + shift
  np.testing.assert_allclose(layer.apply(variables, jnp.asarray(X), False), expected, rtol=1e-5, atol=1e-5)


def test_one_ghost_batch_is_plain_batch_normalisation():
  """Flax's layer, with its own way of the variance: outputs, gradients and statistics."""

  class Plain(nn.Module):
    @nn.compact
    def __call__(self, x, train):
      for i, width in enumerate((7, 4)):
        name = f'hidden_{i}' if i else 'input'
        x = nn.Dense(width, use_bias=False, name=name)(x)
        x = nn.BatchNorm(not train, momentum=1 - ETA, epsilon=EPSILON, dtype=jnp.float32, name=f'{name}_norm')(x)
        x = jnp.tanh(x)
      return nn.Dense(3, name='readout')(x)

  ours, plain = module_of(N), Plain()
  variables = moved(ours.init(KEY, jnp.asarray(X)))
  assert jax.tree.map(jnp.shape, plain.init(KEY, jnp.asarray(X), False)) == jax.tree.map(jnp.shape, variables)

  def cost(module):
    def value(params):
      out, mutated = module.apply({**variables, 'params': params}, jnp.asarray(X), train=True, mutable=['batch_stats'])
      return jnp.sum(jnp.sin(out)), mutated

    return jax.jit(jax.value_and_grad(value, has_aux=True))(variables['params'])

  # Flax's float32 variance, E x^2 - (E x)^2, is the less exact of the two.
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), cost(ours), cost(plain))


@pytest.mark.parametrize(('ghost', 'activation'), [(0, 'tanh'), (4, 'softplus')])
def test_the_gradient_goes_through_the_statistics(wide, ghost, activation):
  """Central differences in float64, through means and variances of each ghost batch."""
  module = module_of(ghost, activation=activation)
  variables = moved(module.init(KEY, jnp.asarray(X)))
  flat, unflatten = jax.flatten_util.ravel_pytree(jax.tree.map(lambda v: v.astype(jnp.float64), variables['params']))
  out = lambda w: module.apply({**variables, 'params': unflatten(w)}, jnp.asarray(X, jnp.float64), train=True,
                               mutable=['batch_stats'])[0]  # fmt: skip
  cost = jax.jit(lambda w: jnp.sum(jnp.cos(out(w))))
  found, ways = jax.grad(cost)(flat), rng.normal(size=(6, flat.size))
  for way in ways:
    step = 1e-5 * way
    np.testing.assert_allclose(found @ way, (cost(flat + step) - cost(flat - step)) / 2e-5, rtol=1e-5, atol=1e-7)


# ---- in training ------------------------------------------------------------------------------------------------


@functools.cache
def trained(cases, ghost, columns):
  """Two members after four minibatches of 8, each split over this many devices."""
  study = cases.study_of(model_of(ghost, widths=(5,)), DATA, losses.cross_entropy(), 4, batch=8)
  grid = parallel.mesh(1, columns, jax.devices()[:columns])
  return jax.device_get(train.run(study, (0, 1), {'lr': (0.05, 0.1)}, grid=grid).state.variables)


@pytest.mark.parametrize('ghost', [2, 0], ids=['a ghost batch a device', 'the whole batch'])
def test_a_batch_split_over_devices_trains_as_on_one(cases, ghost):
  """Four devices with two examples each: weights and running statistics, to the rounding of sums."""
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5), trained(cases, ghost, 1), trained(cases, ghost, 4)
  )
  other = trained(cases, 2 - ghost, 1)['batch_stats']['input_norm']['var']  # the test can tell ghost batches from the whole
  assert not np.allclose(trained(cases, ghost, 1)['batch_stats']['input_norm']['var'], other, rtol=1e-2)


def test_ghost_batches_that_do_not_fit_are_an_error(cases):
  model = model_of(5)
  objective = objectives.supervised()(model, losses.cross_entropy(), None)
  with pytest.raises(ValueError, match=r'model\.ghost is 5, which does not divide the 12 examples'):
    jax.eval_shape(lambda: objective(model.init(KEY, DATA), DATA.train, KEY))
  with pytest.raises(ValueError, match=r'model\.ghost is 4, which does not divide the 2 examples of a batch on one device'):
    trained(cases, 4, 4)


def test_probes_and_the_tangent_kernel_see_evaluation_mode(cases):
  """Against the network with running statistics written out; the rows of a batch then do not see each other."""
  model = model_of(4)
  study = cases.study_of(model, DATA, losses.cross_entropy(), 3, {'performance': probes.performance()}, (3,))
  result = train.run(study, (0,), {'lr': 0.1})
  variables = jax.tree.map(lambda v: jnp.asarray(v[0]), result.state.variables)

  def one(params, x):
    for name in ('input', 'hidden_1'):
      kept, own = variables['batch_stats'][f'{name}_norm'], params[f'{name}_norm']
      x = (x @ params[name]['kernel'] - kept['mean']) / jnp.sqrt(kept['var'] + EPSILON)
      x = jnp.tanh(x * own['scale'] + own['bias'])
    return x @ params['readout']['kernel'] + params['readout']['bias']

  outputs = np.stack([one(variables['params'], x) for x in DATA.train.x])
  expected = losses.mean(losses.cross_entropy()(jnp.asarray(outputs), DATA.train.y))
  np.testing.assert_allclose(result.arrays['performance']['train_loss'][0, 0], expected, rtol=1e-5)
  x = DATA.train.x[:4]
  jacobian = jax.vmap(jax.jacobian(one), (None, 0))(variables['params'], x)
  dense = np.concatenate([np.asarray(j, np.float64).reshape(4, 3, -1) for j in jax.tree.leaves(jacobian)], axis=2)
  np.testing.assert_allclose(linalg.ntk(model.apply, variables, x), np.einsum('aip,bip->ab', dense, dense), rtol=1e-4, atol=1e-4)
  assert trees.size(variables['params']) == D * 7 + 2 * 7 + 7 * 4 + 2 * 4 + 4 * 3 + 3
