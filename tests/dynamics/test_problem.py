"""Any flax module becomes a problem: with its own initialisers, with collections beside its parameters, with alpha."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import inits, losses, models, optim, parallel, train
from dynamics.problem import supervised
from dynamics.study import Study
from dynamics.types import Batch, Data, stateless

KEY = jax.random.key(0, impl='threefry2x32')
rng = np.random.default_rng(11)
X, Y = jnp.asarray(rng.normal(2, 3, (12, 4)), jnp.float32), jnp.asarray(rng.integers(0, 3, 12), jnp.int32)
DATA = Data(Batch(X, Y), Batch(X + 1, Y))


def problem_of(module, **choices):
  return supervised(module, jax.ShapeDtypeStruct((1, 4), jnp.float32), losses.cross_entropy(), **choices)


class Normed(nn.Module):
  @nn.compact
  def __call__(self, x, train):
    x = nn.BatchNorm(use_running_average=not train, momentum=0.5, dtype=jnp.float32)(x)
    return nn.Dense(3, kernel_init=nn.initializers.constant(0.25))(x)


def test_batch_statistics_move_in_training_only_and_are_used_in_evaluation():
  """After t full batches at momentum 1/2 the running mean has gone 1 - 2^-t of its way."""
  problem = problem_of(Normed())
  read = {'outputs': stateless(lambda view, key: problem.apply(view.variables, view.data.test.x))}
  study = Study(problem, optim.optimizer(optim.sgd), lambda key, hyper: DATA, read, {'outputs': (0, 1, 2, 3)}, 3)
  some = train.run(study, (0,), {'lr': 0.1})
  rare = train.run(study._replace(schedule={'outputs': (3,)}), (0,), {'lr': 0.1})
  kept, mean = some.state.variables['batch_stats']['BatchNorm_0'], np.asarray(X, np.float64).mean(0)
  np.testing.assert_allclose(kept['mean'][0], mean * 7 / 8, rtol=1e-5)
  np.testing.assert_allclose(kept['var'][0], 1 / 8 + np.asarray(X, np.float64).var(0) * 7 / 8, rtol=1e-5)
  jax.tree.map(np.testing.assert_array_equal, some.state.variables, rare.state.variables)
  # Evaluation uses the running statistics: one row's output does not depend on the others.
  variables = jax.tree.map(lambda v: v[0], some.state.variables)
  np.testing.assert_allclose(problem.apply(variables, X[:1]), problem.apply(variables, X)[:1], atol=1e-6)
  assert not np.allclose(problem.apply(variables, X, train=True)[:1], problem.apply(variables, X)[:1], atol=1e-3)
  _, aux = problem.loss(variables, DATA.train, {})
  assert list(aux.state) == ['batch_stats']


def test_batch_statistics_work_with_a_split_batch():
  """Each device norms its own shard, as is usual, and the running means are averaged."""
  study = Study(problem_of(Normed()), optim.optimizer(optim.sgd), lambda key, hyper: DATA, {}, {}, 1)
  grid = parallel.mesh(1, 2, jax.devices()[:2])
  kept = train.run(study, (0,), {'lr': 0.1}, grid=grid).state.variables['batch_stats']['BatchNorm_0']
  np.testing.assert_allclose(kept['mean'][0], np.asarray(X).mean(0) / 2, rtol=1e-5)


def test_a_module_keeps_its_own_initialisers_unless_told_otherwise():
  own, drawn = problem_of(Normed()), problem_of(Normed(), init=inits.independent(inits.gaussian))
  kernel = lambda problem: problem.init(KEY, {})['params']['Dense_0']['kernel']
  np.testing.assert_array_equal(kernel(own), np.full((4, 3), 0.25))
  assert len(np.unique(kernel(drawn))) == 12
  assert (drawn.init(KEY, {})['params']['BatchNorm_0']['scale'] == 1).all()


def test_alpha_multiplies_the_outputs_and_is_no_parameter():
  problem = problem_of(models.mlp(widths=(5,), outputs=3))
  plain, scaled = problem.init(KEY, {}), problem.init(KEY, {'alpha': jnp.float32(3)})
  np.testing.assert_allclose(problem.apply(scaled, X), 3 * problem.apply(plain, X), rtol=1e-6)
  assert jax.tree.structure(scaled['params']) == jax.tree.structure(plain['params'])
  assert problem.loss(scaled, DATA.train, {})[1].state == {}


@pytest.mark.parametrize('rule', [inits.ntk, inits.mup], ids=lambda r: r.__name__)
def test_the_network_sees_a_times_the_weights(rule):
  module = models.mlp(widths=(5,), bias=False, outputs=3)
  problem = problem_of(module, init=inits.independent(inits.uniform, rule), rule=rule)
  variables = problem.init(KEY, {})
  leaves = inits.describe(variables['params'])
  seen = jax.tree.map(
    lambda leaf, w: w * rule(leaf, False).a, leaves, variables['params'], is_leaf=lambda x: isinstance(x, inits.Leaf)
  )
  np.testing.assert_allclose(problem.apply(variables, X), module.apply({'params': seen}, X), rtol=1e-5)


def test_the_training_loss_is_the_mean_of_the_losses_and_shows_its_parts():
  problem = problem_of(models.mlp(widths=(5,), outputs=3))
  variables = problem.init(KEY, {})
  value, aux = problem.loss(variables, DATA.train, {})
  np.testing.assert_allclose(aux.outputs, problem.apply(variables, X), rtol=1e-6)
  np.testing.assert_allclose(aux.losses, losses.cross_entropy()(aux.outputs, Y), rtol=1e-6)
  np.testing.assert_allclose(value, np.mean(aux.losses), rtol=1e-6)
