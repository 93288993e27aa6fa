"""Any flax module becomes a problem: with its own initialisers, with collections beside its parameters, with alpha."""

import flax.linen as nn
import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest
from dynamics.problem import supervised

from dynamics import inits, losses, models, optim, parallel, probes, train
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


# ---- the predictor ------------------------------------------------------------------------------------------------


def moved(problem, hyper):
  """Variables at the start, and some way from it."""
  start = problem.init(KEY, hyper)
  step = lambda w: w + 0.1 * jnp.asarray(rng.normal(size=w.shape), w.dtype)
  return start, {**start, 'params': jax.tree.map(step, start['params'])}


@pytest.mark.parametrize('alpha', [None, 3.0])
@pytest.mark.parametrize('rule', [inits.standard, inits.ntk], ids=lambda r: r.__name__)
@pytest.mark.parametrize('module', [models.mlp(widths=(5, 4), activation='tanh', outputs=3), Normed()], ids=['mlp', 'normed'])
def test_the_predictor_is_the_network_its_change_or_its_tangent(module, rule, alpha):
  """The tangent by a dense Jacobian, flattened."""
  hyper = {} if alpha is None else {'alpha': jnp.float32(alpha)}
  forms = {(c, l): problem_of(module, rule=rule, centred=c, linearised=l) for c in (False, True) for l in (False, True)}
  start, now = moved(forms[True, True], hyper)
  f = lambda v: forms[False, False].apply({name: value for name, value in v.items() if name != 'origin'}, X)
  flat, unflatten = jax.flatten_util.ravel_pytree(start['params'])
  jacobian = jax.jacobian(lambda w: f({**start, 'params': unflatten(w)}))(flat)
  tangent = jacobian @ (jax.flatten_util.ravel_pytree(now['params'])[0] - flat)
  for (centred, linearised), problem in forms.items():
    expected = (f(start) + tangent if linearised else f(now)) - (f(start) if centred else 0.0)
    np.testing.assert_allclose(problem.apply(now, X), expected, rtol=1e-4, atol=1e-5)
  np.testing.assert_array_equal(forms[True, True].apply(start, X), np.zeros((12, 3)))


def test_features_are_the_activations_behind_each_hidden_layer():
  problem = problem_of(models.mlp(widths=(5, 4), outputs=3))
  variables = problem.init(KEY, {})
  outputs, features = problem.apply(variables, X, features=True)
  params = jax.device_get(variables['params'])
  x = np.asarray(X)
  first = np.maximum(x @ params['input']['kernel'] + params['input']['bias'], 0)
  second = np.maximum(first @ params['hidden_1']['kernel'] + params['hidden_1']['bias'], 0)
  np.testing.assert_array_equal(outputs, problem.apply(variables, X))
  assert list(features) == ['after_input', 'after_hidden_1']
  np.testing.assert_allclose(features['after_input'], first, rtol=1e-5, atol=1e-6)
  np.testing.assert_allclose(features['after_hidden_1'], second, rtol=1e-5, atol=1e-6)
  assert problem_of(Normed()).apply(problem_of(Normed()).init(KEY, {}), X, features=True)[1] == {}


# ---- equal loss ---------------------------------------------------------------------------------------------------


def test_a_member_stops_at_its_loss_level_and_stays_there_to_the_bit():
  """Against the readings of a run without levels: the first step whose loss is low enough, and the weights before it."""
  problem = problem_of(models.mlp(widths=(5,), outputs=3))
  read = {
    'loss': stateless(lambda view, key: problem.loss(view.variables, DATA.train, {})[0]),
    'clock': probes.clock(problem.apply, losses.cross_entropy()),
    'meters': probes.meters(problem.apply, losses.cross_entropy()),
  }
  study = Study(
    problem, optim.optimizer(optim.momentum), lambda key, hyper: DATA, read, dict.fromkeys(read, tuple(range(31))), 30
  )
  free = train.run(study, (0, 1), {'lr': 0.05})
  curve = free.tables['loss']['']
  assert (free.tables['clock']['stopped'] == np.inf).all()
  levels = (float(curve[12, 0]) * 1.0001, float(curve[5, 1]) * 1.0001)
  first = [int(np.flatnonzero(curve[:, m] <= levels[m])[0]) for m in (0, 1)]
  held = train.run(study, (0, 1), {'lr': 0.05, 'stop_loss': levels})
  for m in (0, 1):
    np.testing.assert_allclose(held.tables['loss'][''][: first[m] + 1, m], curve[: first[m] + 1, m], rtol=1e-5)
    assert len(set(held.tables['loss'][''][first[m] :, m].tolist())) == 1
    assert held.tables['clock']['stopped'][-1, m] == first[m]
  never = train.run(study, (0, 1), {'lr': 0.05, 'stop_loss': 0.0})
  assert (never.tables['clock']['stopped'] == np.inf).all()


def test_a_run_whose_members_have_all_stopped_takes_no_further_step():
  problem = problem_of(models.mlp(widths=(5,), outputs=3))
  study = Study(problem, optim.optimizer(optim.sgd), lambda key, hyper: DATA, {}, {}, 10**9)
  assert train.run(study, (0, 1), {'lr': 0.05, 'stop_loss': 100.0}).state.variables['clock']['stopped'].tolist() == [0, 0]
