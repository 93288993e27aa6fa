"""Parametrizations: the tables of the papers, and what a change of parametrization must and must not change."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dynamics import inits, losses, models, network, optim, train, transforms
from dynamics.leaves import map_leaves
from dynamics.optim.chain import chain
from dynamics.transforms.parametrization import ABC, parametrized
from dynamics.types import Batch, Data

KEY = jax.random.key(0, impl='threefry2x32')
BASE = 64


def mup(leaf, normalised):
  """2203.03466, table 8, relative to width 64."""
  wide_in, wide_out = leaf.fan_in / BASE, leaf.fan_out / BASE
  if leaf.role == 'output':
    return ABC(1 / wide_in, BASE**-0.5, 1 if normalised else wide_in)
  if leaf.role == 'hidden':
    return ABC(1, leaf.fan_in**-0.5, 1 / wide_in if normalised else 1)
  return ABC(1, leaf.fan_in**-0.5, 1 if normalised else wide_out)


TABLE = {  # by the papers
  'standard': lambda leaf, normalised: ABC(1, leaf.fan_in**-0.5, 1),
  'ntk': lambda leaf, normalised: ABC(leaf.fan_in**-0.5, 1, 1),
  'mup': mup,
}
OURS = {'standard': lambda model: model, 'ntk': transforms.ntk(), 'mup': transforms.mup()}


def problem_of(cases, module, transform, family='sgd', lr=0.1, init=None):
  """(model, loss, draws, optimizer) on the floats of the shared cases."""
  case = cases.case('floats')
  model = transform(network.initialised(network.from_flax(module, case.draws.train.x), init or inits.uniform()))
  return model, case.loss, case.draws, chain(OPTIMIZERS[family](lr), None, model.rates)


OPTIMIZERS = {
  'sgd': lambda lr: optim.sgd(lr=lr),
  'momentum': lambda lr: optim.momentum(lr=lr),
  'adam': lambda lr: optim.adam(lr=lr, eps=0.0),
}


def outputs_of(model, loss, data, optimizer, steps, seeds=1):
  """Outputs on the test inputs after 0..steps full-batch steps: (m, t, n, k)."""

  @jax.jit
  @jax.vmap
  def trajectory(key):
    params = model.init(key, data)['params']

    def step(carry, _):
      params, opt_state = carry
      shown = model.apply({'params': params}, data.test.x)
      value = lambda p: jnp.mean(loss(model.apply({'params': p}, data.train.x), data.train.y))
      with jax.numpy_dtype_promotion('standard'):
        updates, opt_state = optimizer.update(jax.grad(value)(params), opt_state, params)
      return (optax.apply_updates(params, updates), opt_state), shown

    return jax.lax.scan(step, (params, optimizer.init(params)), None, length=steps + 1)[1]

  return np.asarray(trajectory(jax.random.split(KEY, seeds)))


# ---- the abc symmetry -------------------------------------------------------------------------------------------

SHIFT = {'input': 1.7, 'hidden': 0.3, 'output': 2.5, 'bias': 0.6, 'scale': 1.0}


def shifted(multipliers):
  """theta -> (a s, b / s, c / s^2), or c / s where the optimizer normalises; another s for every role."""

  def other(leaf, normalised):
    (a, b, c), s = multipliers(leaf, normalised), SHIFT[leaf.role]
    return ABC(a * s, b / s, c / s if normalised else c / s**2)

  return other


@pytest.mark.parametrize(
  ('family', 'name'), [('sgd', 'standard'), ('sgd', 'mup'), ('momentum', 'ntk'), ('adam', 'standard'), ('adam', 'mup')]
)
def test_abc_symmetry_leaves_every_trajectory_of_the_function_as_it_is(cases, family, name):
  """2011.14522, section 3: the library's own against the shifted table of the paper. Biases start at 0, so they take part as
  well. adam is exactly symmetric at eps = 0 alone."""
  module, lr = models.mlp(2, widths=(6, 5), activation='tanh'), 0.02 if family == 'adam' else 0.1
  seen = [
    outputs_of(*problem_of(cases, module, transform, family, lr), steps=5)
    for transform in (OURS[name], parametrized(shifted(TABLE[name])))
  ]
  assert np.abs(seen[0][0, -1] - seen[0][0, 0]).max() > 0.05, 'nothing moved, so the test says nothing'
  np.testing.assert_allclose(seen[1], seen[0], atol=3e-5)


# ---- what the network sees ----------------------------------------------------------------------------------------


@pytest.mark.parametrize('name', ['ntk', 'mup'])
def test_the_network_sees_a_times_the_weights_which_start_with_standard_deviation_b(cases, name):
  module = models.mlp(2, widths=(5,), bias=False)
  model, _, draws, _ = problem_of(cases, module, OURS[name])
  plain, *_ = problem_of(cases, module, OURS['standard'])
  variables, start = (jax.jit(m.init)(KEY, draws) for m in (model, plain))
  times = lambda i, w: map_leaves(lambda leaf, w: w * TABLE[name](leaf, False)[i], model.leaves(), w)
  seen = module.apply({'params': times(0, variables['params'])}, draws.train.x)
  np.testing.assert_allclose(model.apply(variables, draws.train.x), seen, rtol=1e-5)
  rescaled = map_leaves(lambda leaf, w: w * leaf.fan_in**0.5, model.leaves(), times(1, start['params']))
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), variables['params'], rescaled)


def test_mean_field_refuses_a_second_hidden_layer(cases):
  with pytest.raises(ValueError, match=r'one hidden layer; hidden_1/kernel is a second'):
    problem_of(cases, models.mlp(2, widths=(3, 3)), transforms.mean_field())


def test_stated_roles_reach_the_learning_rates():
  """A product of two square matrices of fan 128 under mup at base 64: factors 2, 1 and 2 for input, hidden and output."""

  def rates(roles):
    module, x = models.linear(128, widths=(128,)), jnp.zeros((1, 128))
    leaves = transforms.mup()(network.from_flax(module, x, roles)).rates(False)
    return leaves['input']['kernel'], leaves['readout']['kernel']

  assert rates(None) == (2.0, 2.0)
  assert rates({'input/*': 'hidden'}) == (1.0, 2.0)
  assert rates({'readout/*': 'hidden', 'input/*': 'output'}) == (2.0, 1.0)


# ---- width ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('family', ['sgd', pytest.param('adam', marks=pytest.mark.slow)])
def test_under_mup_the_first_step_changes_the_outputs_by_as_much_at_every_width(family):
  """The coordinate check of 2203.03466, as a test; `standard` is the control, in which the change grows with width."""
  x = jax.random.normal(jax.random.key(1), (16, 8))
  data = Data(*(Batch(x, 5 * jnp.sin(x[:, :1])),) * 2)
  growth = {}
  for name in ('mup', 'standard'):
    sizes = []
    for width in (64, 256, 512) if name == 'mup' else (64, 512):
      module = models.mlp(1, widths=(width, width), bias=False)
      model = OURS[name](network.initialised(network.from_flax(module, x), inits.uniform()))
      optimizer = chain({'sgd': optim.sgd(lr=0.01), 'adam': optim.adam(lr=0.001)}[family], None, model.rates)
      shown = outputs_of(model, losses.mean_squared_error(), data, optimizer, steps=1, seeds=8)
      sizes.append(np.sqrt(np.mean((shown[:, 1] - shown[:, 0]) ** 2)))
    growth[name] = sizes
  assert max(growth['mup']) < 1.5 * min(growth['mup']), growth
  assert growth['standard'][-1] > 2.5 * growth['standard'][0], growth


def test_the_library_and_a_loop_by_hand_agree_on_the_learning_rates(cases):
  """`train.run` under mup, whose rates are not 1, with the rate of each leaf written out."""
  module = models.mlp(2, widths=(6,), activation='tanh')
  model, loss, draws, _ = problem_of(cases, module, OURS['mup'])
  study = cases.study_of(model, draws, loss, 3, optimizer=lambda hyper: chain(optim.sgd(lr=hyper['lr']), None, model.rates))
  done = train.run(study, (0,), {'lr': 0.3})
  rates = map_leaves(lambda leaf: 0.3 * mup(leaf, False).c, model.leaves())
  grads = jax.jit(jax.grad(lambda p: jnp.mean(loss(model.apply({'params': p}, draws.train.x), draws.train.y))))
  params, trained = (jax.tree.map(lambda v: v[0], v['params']) for v in (done.frozen.initial, done.state.variables))
  for _ in range(3):
    params = jax.tree.map(lambda w, rate, g: w - rate * g, params, rates, grads(params))
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), trained, params)
