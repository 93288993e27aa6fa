"""Any flax module as a model: its own initialisers, collections beside its parameters, features, inputs in a tree."""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import inits, losses, models, network, objectives, parallel, probes, train
from dynamics.types import Batch, Data

KEY = jax.random.key(0, impl='threefry2x32')
rng = np.random.default_rng(11)
X, Y = jnp.asarray(rng.normal(2, 3, (12, 4)), jnp.float32), jnp.asarray(rng.integers(0, 3, 12), jnp.int32)
DATA = Data(Batch(X, Y), Batch(X + 1, Y))
LOSS = losses.cross_entropy()


class Normed(nn.Module):
  @nn.compact
  def __call__(self, x, train):
    x = nn.BatchNorm(use_running_average=not train, momentum=0.5, dtype=jnp.float32)(x)
    return nn.Dense(3, kernel_init=nn.initializers.constant(0.25))(x)


class Pair(nn.Module):
  """Reads a dict of features and tokens."""

  @nn.compact
  def __call__(self, x):
    h = nn.Dense(5, name='features')(x['features']) + nn.Embed(6, 5, name='tokens')(x['tokens'])
    self.sow('intermediates', 'after_input', h)
    return nn.Dense(3, name='readout')(jnp.tanh(h))


TREE = {'features': X, 'tokens': jnp.asarray(rng.integers(0, 6, 12), jnp.int32)}


def test_batch_statistics_move_in_training_only_and_are_used_in_evaluation(cases):
  """After t full batches at momentum 1/2 the running mean has gone 1 - 2^-t of its way."""
  model = network.from_flax(Normed(), X)
  read = {'outputs': lambda view: model.apply(view.variables, view.data.test.x)}
  study = cases.study_of(model, DATA, LOSS, 3, read, (0, 1, 2, 3))
  often = train.run(study, (0,), {'lr': 0.1})
  rare = train.run(study._replace(schedule={'outputs': (3,)}), (0,), {'lr': 0.1})
  running, mean = often.state.variables['batch_stats']['BatchNorm_0'], np.asarray(X, np.float64).mean(0)
  np.testing.assert_allclose(running['mean'][0], mean * 7 / 8, rtol=1e-5)
  np.testing.assert_allclose(running['var'][0], 1 / 8 + np.asarray(X, np.float64).var(0) * 7 / 8, rtol=1e-5)
  chex.assert_trees_all_equal(often.state.variables, rare.state.variables)
  # Evaluation uses the running statistics: one row's output does not depend on the others.
  variables = jax.tree.map(lambda v: v[0], often.state.variables)
  np.testing.assert_allclose(model.apply(variables, X[:1]), model.apply(variables, X)[:1], atol=1e-6)
  assert not np.allclose(model.apply(variables, X, train=True)[:1], model.apply(variables, X)[:1], atol=1e-3)
  assert model.forward(variables, X)[1].mutated == {}
  _, aux = objectives.supervised()(model, LOSS, None)(variables, DATA.train, KEY)
  assert list(aux.mutated) == ['batch_stats']


def test_batch_statistics_work_with_a_split_batch(cases):
  """Each device norms its own shard, as is usual, and the running means are averaged."""
  study = cases.study_of(network.from_flax(Normed(), X), DATA, LOSS, 1)
  grid = parallel.mesh(1, 2, jax.devices()[:2])
  running = train.run(study, (0,), {'lr': 0.1}, grid=grid).state.variables['batch_stats']['BatchNorm_0']
  np.testing.assert_allclose(running['mean'][0], np.asarray(X).mean(0) / 2, rtol=1e-5)


def test_a_module_keeps_its_own_initialisers_unless_told_otherwise():
  plain = network.from_flax(Normed(), X)
  own_draw, drawn = (network.initialised(plain, init).init(KEY, DATA)['params'] for init in (inits.module(), inits.gaussian()))
  np.testing.assert_array_equal(own_draw['Dense_0']['kernel'], np.full((4, 3), 0.25))
  assert len(np.unique(drawn['Dense_0']['kernel'])) == 12
  assert (drawn['BatchNorm_0']['scale'] == 1).all()


def test_features_are_the_activations_behind_each_hidden_layer():
  model = network.from_flax(models.mlp(3, widths=(5, 4)), X)
  variables = model.init(KEY, DATA)
  outputs, trace = model.forward(variables, X)
  params, x = jax.device_get(variables['params']), np.asarray(X)
  first = np.maximum(x @ params['input']['kernel'] + params['input']['bias'], 0)
  second = np.maximum(first @ params['hidden_1']['kernel'] + params['hidden_1']['bias'], 0)
  np.testing.assert_array_equal(outputs, model.apply(variables, X))
  assert (list(variables), list(trace.features)) == (['params'], ['after_input', 'after_hidden_1'])
  np.testing.assert_allclose(trace.features['after_input'], first, rtol=1e-5, atol=1e-6)
  np.testing.assert_allclose(trace.features['after_hidden_1'], second, rtol=1e-5, atol=1e-6)
  normed = network.from_flax(Normed(), X)
  assert normed.forward(normed.init(KEY, DATA), X)[1].features == {}


def test_inputs_in_a_tree_train_and_are_probed(cases):
  """Performance and the tangent kernel against the module itself; what needs one array says so."""
  model = network.initialised(network.from_flax(Pair(), TREE), inits.gaussian())
  roles = {leaf.name: leaf.role for leaf in jax.tree.leaves(model.leaves(), is_leaf=lambda v: hasattr(v, 'role'))}
  assert (roles['features/kernel'], roles['tokens/embedding'], roles['readout/kernel']) == ('input', 'input', 'output')
  data = Data(Batch(TREE, Y), Batch(jax.tree.map(lambda v: v[:5], TREE), Y[:5]))
  read = {'performance': probes.performance(), 'kernel': probes.kernel(examples=4, leaves=False, keep=True)}
  done = train.run(cases.study_of(model, data, LOSS, 2, read, (0, 2), batch=6), (0, 1), {'lr': 0.5})
  start = jax.tree.map(lambda v: v[1], dict(done.frozen.initial))
  for split, batch in (('train', data.train), ('test', data.test)):
    expected = np.mean(LOSS(Pair().apply(start, batch.x), batch.y))
    np.testing.assert_allclose(done.arrays['performance'][f'{split}_loss'][1, 0], expected, rtol=1e-5)
  before, after = done.arrays['performance']['train_loss'].values.T
  assert (before != after).all()
  few = jax.tree.map(lambda v: v[:4], TREE)
  jacobian = jax.tree.leaves(jax.jit(jax.jacrev(lambda params: Pair().apply({**start, 'params': params}, few)))(start['params']))
  expected = sum(np.einsum('nkp,mkp->nm', j, j) for j in (np.asarray(j).reshape(4, 3, -1) for j in jacobian))
  np.testing.assert_allclose(done.arrays['kernel']['kernel'][1, 0], expected, rtol=1e-4)
  study = cases.study_of(model, data, LOSS, 1, {'inputs': probes.input_spectrum()}, (0,))
  with pytest.raises(ValueError, match='inputs in one array, but they are a tree of 2 arrays'):
    train.run(study, (0,), {'lr': 0.5})


@pytest.mark.parametrize('name', ['features', 'tokens'])
def test_minibatches_of_a_tree_take_the_same_rows_of_every_leaf(cases, name):
  batch = cases.sampler(size=5)(KEY, Data(Batch(TREE, jnp.arange(12, dtype=jnp.int32)), None), jnp.int32(3))
  np.testing.assert_array_equal(batch.x[name], TREE[name][batch.y])
