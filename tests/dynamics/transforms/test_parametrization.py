"""Parametrizations: the tables of the papers, and what a change of parametrization must and must not change."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dynamics import inits, losses, models, network, optim, train, transforms
from dynamics.leaves import Leaf, map_leaves
from dynamics.optim.chain import chain
from dynamics.transforms.parametrization import ABC, parametrized
from dynamics.types import Batch, Data, Model

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


def deep(leaf, normalised):
  """2310.02244, table 1, for a network of DEPTH blocks of one layer: branches and, under Adam, rates by 1/sqrt(L)."""
  (a, b, c), block = mup(leaf, normalised), leaf.name.startswith('block_')
  return ABC(a * DEPTH**-0.5, b, c * DEPTH**-0.5 if normalised else c) if block else ABC(a, b, c)


def unit(leaf, normalised):
  """2407.17465, table 2, under Adam; under SGD c is that of mup at base 1 by the abc symmetry, per input of the data."""
  a = {'input': leaf.fan_in**-0.5, 'hidden': leaf.fan_in**-0.5, 'output': 1 / leaf.fan_in}.get(leaf.role, 1)
  adam = {'input': leaf.fan_out**-0.5, 'hidden': leaf.fan_in**-0.5}.get(leaf.role, 1)
  sgd = leaf.fan_in if leaf.role in ('hidden', 'output') else leaf.fan_out
  return ABC(a, 1, adam if normalised else sgd)


DEPTH = 3
TABLE = {  # by the papers
  'standard': lambda leaf, normalised: ABC(1, leaf.fan_in**-0.5, 1),
  'ntk': lambda leaf, normalised: ABC(leaf.fan_in**-0.5, 1, 1),
  'mup': mup,
  'depth_mup': deep,
  'u_mup': unit,
}
OURS = {
  'standard': lambda model: model,
  'ntk': transforms.ntk(),
  'mup': transforms.mup(),
  'depth_mup': transforms.depth_mup(),
  'u_mup': transforms.u_mup(),
}


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
  ('family', 'name'),
  [
    ('sgd', 'standard'),
    ('sgd', 'mup'),
    ('momentum', 'ntk'),
    ('adam', 'standard'),
    ('adam', 'mup'),
    ('sgd', 'depth_mup'),
    ('adam', 'depth_mup'),
    ('sgd', 'u_mup'),
    ('adam', 'u_mup'),
  ],
)
def test_abc_symmetry_leaves_every_trajectory_of_the_function_as_it_is(cases, family, name):
  """2011.14522, section 3: the library's own against the shifted table of the paper. Biases start at 0, so they take part as
  well. adam is exactly symmetric at eps = 0 alone."""
  lr = {'adam': 0.02, 'sgd': 0.1, 'momentum': 0.1}[family]
  module = models.mlp(2, widths=(6, 5), activation='tanh')
  if name == 'depth_mup':
    module = models.residual(2, depth=DEPTH, width=6, activation='tanh')
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


def rates_of(transform, leaves, normalised):
  """(a, rate) of every leaf by name: a is read off a model that returns what it sees."""
  params = {leaf.name: jnp.ones(leaf.shape) for leaf in leaves}
  shown = lambda variables, x, **mode: (variables['params'], None)
  model = Model(lambda key, data: {'params': params}, shown, lambda: {leaf.name: leaf for leaf in leaves})
  changed = transform(model)
  a = changed.forward({'params': params}, None)[0]
  return {name: (float(a[name].ravel()[0]), rate) for name, rate in changed.rates(normalised).items()}


def test_blocks_of_several_layers_and_stacked_ones_share_the_steps_of_a_branch():
  """4 blocks of two layers: the last is multiplied by L^-p, and both learn at L^(p - 1) (Adam) and L^(2 p - 1) (SGD)."""
  weight = lambda name, shape, role, copies: Leaf(name, shape, jnp.float32, 8, 8, role, (copies,), (copies + 1,))
  leaves = [weight(f'block_{i}/layer_{j}/kernel', (8, 8), 'hidden', 0) for i in range(4) for j in range(2)]
  leaves += [Leaf('block_0/layer_1/bias', (8,), jnp.float32, 1, 8, 'bias'), weight('readout/kernel', (8, 8), 'output', 0)]
  for power in (0.0, 0.5, 1.0):
    for normalised in (False, True):
      rate = 4.0 ** (power - 1 if normalised else 2 * power - 1)
      got = rates_of(transforms.depth_mup(base=8, power=power, ends='*/layer_1/kernel'), leaves, normalised)
      a = {leaf.name: 4.0**-power if 'layer_1' in leaf.name else 1.0 for leaf in leaves}
      expected = {leaf.name: (a[leaf.name], 1.0 if leaf.role == 'output' else rate) for leaf in leaves}
      chex.assert_trees_all_close(got, expected, rtol=1e-6)
  stacked = [weight('blocks/layer_0/kernel', (4, 8, 8), 'hidden', 1)]
  assert rates_of(transforms.depth_mup(base=8), stacked, True) == {'blocks/layer_0/kernel': (0.5, 0.5)}
  scaled = rates_of(transforms.u_mup(ends='*'), stacked, True)['blocks/layer_0/kernel']
  np.testing.assert_allclose(scaled, (0.5 / 8**0.5, 0.5 / 8**0.5), rtol=1e-6)


def test_a_depth_without_branches_is_refused(cases):
  with pytest.raises(ValueError, match=r"ends '\*' of the parametrization matches no hidden weight; they are none"):
    problem_of(cases, models.mlp(2, widths=(3,)), transforms.depth_mup())


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
