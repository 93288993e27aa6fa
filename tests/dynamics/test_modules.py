"""Networks of other makes give what their own libraries give, and train as a flax module with the same weights does."""

import chex
import equinox
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from dynamics import inits, losses, modules, network, train
from dynamics.types import Batch, Data

KEY = jax.random.key(0, impl='threefry2x32')
rng = np.random.default_rng(5)
X, Y = jnp.asarray(rng.normal(size=(12, 4)), jnp.float32), jnp.asarray(rng.integers(0, 3, 12), jnp.int32)
DATA = Data(Batch(X, Y), Batch(X + 1, Y))
WIDTH = 6


class Linen(nn.Module):
  @nn.compact
  def __call__(self, x):
    return nn.Dense(3, name='b')(jnp.tanh(nn.Dense(WIDTH, name='a')(x)))


class Nnx(nnx.Module):
  def __init__(self, *, rngs):
    self.a, self.b = nnx.Linear(4, WIDTH, rngs=rngs), nnx.Linear(WIDTH, 3, rngs=rngs)

  def __call__(self, x):
    h = jnp.tanh(self.a(x))
    self.sow(nnx.Intermediate, 'after_a', h)
    return self.b(h)


class Eqx(equinox.Module):
  a: equinox.nn.Linear
  b: equinox.nn.Linear

  def __init__(self, *, key):
    first, second = jax.random.split(key)
    self.a, self.b = equinox.nn.Linear(4, WIDTH, key=first), equinox.nn.Linear(WIDTH, 3, key=second)

  def __call__(self, x):
    return self.b(jnp.tanh(self.a(x)))


def dense(params, x):
  return jnp.tanh(x @ params['a']['kernel'] + params['a']['bias'][None]) @ params['b']['kernel'] + params['b']['bias'][None]


def drawn(key):
  first, second = jax.random.split(key)
  layer = lambda key, d, h: {'kernel': jax.random.normal(key, (d, h), jnp.float32), 'bias': jnp.zeros((h,), jnp.float32)}
  return {'a': layer(first, 4, WIDTH), 'b': layer(second, WIDTH, 3)}


MAKES = {
  'nnx': modules.from_nnx(lambda rngs: Nnx(rngs=rngs), X),
  'equinox': modules.from_equinox(lambda key: Eqx(key=key), X),
  'functions': modules.as_model((drawn, dense), X),
}
LIKE = network.from_flax(Linen(), X)


def to_linen(params):
  """Their weights under the names and in the layout of linen."""
  kernel = lambda layer: layer['kernel'] if 'kernel' in layer else layer['weight'].T
  return {name: {'kernel': kernel(params[name]), 'bias': params[name]['bias']} for name in ('a', 'b')}


@pytest.mark.parametrize('make', MAKES)
def test_outputs_gradients_and_leaves_are_those_of_the_same_flax_module(make):
  model = MAKES[make]
  params = model.init(KEY, DATA)['params']
  value = lambda model: lambda params: jnp.sum(model.apply({'params': params}, X) ** 2)
  chex.assert_trees_all_close(model.apply({'params': params}, X), LIKE.apply({'params': to_linen(params)}, X), atol=1e-5)
  theirs, ours = jax.grad(value(model))(params), jax.grad(value(LIKE))(to_linen(params))
  chex.assert_trees_all_close(to_linen(theirs), ours, atol=1e-4)
  roles = lambda model: sorted((leaf.role, leaf.fan_in, leaf.fan_out) for leaf in jax.tree.leaves(model.leaves(), is_leaf=_leaf))
  assert roles(model) == roles(LIKE)
  other = model.init(jax.random.key(1), DATA)['params']
  assert all(
    np.abs(other[name][key] - params[name][key]).max() > 0 for name, key in (('a', _weight(other)), ('b', _weight(other)))
  )


def _leaf(x):
  return hasattr(x, 'role')


def _weight(params):
  return next(name for name in params['a'] if name != 'bias')


@pytest.mark.parametrize('make', ['nnx', 'equinox'])
def test_members_train_under_vmap_as_flax_modules_with_the_same_weights(cases, make):
  model = network.initialised(MAKES[make], inits.gaussian())
  result = train.run(cases.study_of(model, DATA, losses.cross_entropy(), 5), (0, 1), {'lr': 0.3})
  first = [jax.tree.map(lambda p, i=i: p[i], result.frozen.initial['params']) for i in (0, 1)]
  last = [jax.tree.map(lambda p, i=i: p[i], result.state.variables['params']) for i in (0, 1)]
  for begin, end in zip(first, last, strict=True):
    params = to_linen(begin)
    for _ in range(5):
      loss = lambda params: jnp.mean(losses.cross_entropy()(LIKE.apply({'params': params}, X), Y))
      params = jax.tree.map(lambda p, g: p - 0.3 * g, params, jax.grad(loss)(params))
    chex.assert_trees_all_close(to_linen(end), params, atol=1e-5)


class Noisy(nnx.Module):
  """Batch statistics and dropout."""

  def __init__(self, *, rngs):
    self.norm, self.drop = nnx.BatchNorm(4, momentum=0.5, rngs=rngs), nnx.Dropout(0.5, rngs=rngs)
    self.layers = nnx.List([nnx.Linear(4, 3, rngs=rngs)])

  def __call__(self, x):
    return self.layers[0](self.drop(self.norm(x)))


def test_statistics_of_nnx_move_in_training_only_and_dropout_follows_the_key():
  model = modules.as_model(Noisy(rngs=nnx.Rngs(3)), X)
  variables = model.init(KEY, DATA)
  assert list(variables['params']['layers']) == ['0']
  outputs, trace = model.forward(variables, X, key=KEY, train=True)
  np.testing.assert_allclose(trace.mutated['state']['norm']['mean'], np.asarray(X).mean(0) / 2, rtol=1e-5)
  again, other = (model.forward(variables, X, key=jax.random.key(i), train=True)[0] for i in (0, 1))
  np.testing.assert_array_equal(outputs, again)
  assert np.abs(outputs - other).max() > 0.1
  assert model.forward(variables, X)[1].mutated == {}
  alone = model.apply(variables, X[:1])
  np.testing.assert_allclose(alone, model.apply(variables, X)[:1], atol=1e-6)
  moved = {**variables, 'state': trace.mutated['state']}
  assert np.abs(model.apply(moved, X) - model.apply(variables, X)).max() > 1e-3


def test_what_nnx_sows_are_features():
  features = MAKES['nnx'].forward(MAKES['nnx'].init(KEY, DATA), X)[1].features
  assert {name: value.shape for name, value in features.items()} == {'after_a': (12, WIDTH)}


class Dropped(equinox.Module):
  drop: equinox.nn.Dropout = equinox.nn.Dropout(0.5)

  def __call__(self, x, key=None):
    return self.drop(x, key=key)


def test_every_example_of_equinox_has_a_key_of_its_own():
  model = modules.as_model(Dropped(), X)
  outputs = model.forward({'params': {}}, jnp.ones_like(X), key=KEY, train=True)[0]
  assert len({tuple(row) for row in np.asarray(outputs).tolist()}) > 4
  np.testing.assert_array_equal(model.apply({'params': {}}, X), X)


class Stateful(equinox.Module):
  w: jax.Array

  def __call__(self, x, state):
    return x * self.w, state


@pytest.mark.parametrize(
  ('thing', 'words'),
  [
    (Nnx, 'the class Nnx, not a module made from it'),
    (3, 'of type int'),
    ((1, 2), 'of type tuple'),
    (Stateful(jnp.ones(4)), 'takes a state'),
  ],
)
def test_what_is_no_model_is_told(thing, words):
  with pytest.raises(TypeError, match=words):
    modules.as_model(thing, X)


@pytest.mark.parametrize(('thing', 'what'), [(MAKES['nnx'], 'of type Model'), (nn.Dense, 'the class Dense')])
def test_from_flax_names_the_way_for_other_makes(thing, what):
  with pytest.raises(TypeError, match=f'this is {what}: dynamics.modules.as_model'):
    network.from_flax(thing, X)
