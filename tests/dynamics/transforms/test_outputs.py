"""The network, its change and its tangent model, against a dense Jacobian; and what transforms do one after the other."""

import itertools

import chex
import flax.linen as nn
import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import inits, models, network, transforms, trees

KEY = jax.random.key(0, impl='threefry2x32')
rng = np.random.default_rng(11)
X = jnp.asarray(rng.normal(2, 3, (12, 4)), jnp.float32)


class Normed(nn.Module):
  @nn.compact
  def __call__(self, x, train):
    x = nn.BatchNorm(use_running_average=not train, dtype=jnp.float32)(x)
    return nn.Dense(3)(x)


MODULES = {'mlp': models.mlp(3, widths=(5, 4), activation='tanh'), 'normed': Normed()}


def model_of(module, *chosen):
  model = network.initialised(network.from_flax(MODULES[module], X), inits.gaussian())
  for transform in chosen:
    model = transform(model)
  return model


def start_of(model):
  init = model.init(KEY, None)
  return network.begun({n: v for n, v in init.items() if n != 'frozen'}, init.get('frozen'))


def moved(start, size=0.1):
  """The variables some way from their start."""
  local = np.random.default_rng(3)
  step = lambda w: w + size * jnp.asarray(local.normal(size=w.shape), w.dtype)
  return {**start, 'params': jax.tree.map(step, start['params'])}


@pytest.mark.parametrize(
  ('parametrization', 'alpha'),
  [
    pytest.param(None, None, id='plain'),
    pytest.param(transforms.ntk(), 3.0, id='ntk scaled'),
    pytest.param(None, 3.0, id='scaled', marks=pytest.mark.slow),
    pytest.param(transforms.ntk(), None, id='ntk', marks=pytest.mark.slow),
  ],
)
@pytest.mark.parametrize('module', MODULES)
def test_the_outputs_are_those_of_the_network_its_change_or_its_tangent(module, parametrization, alpha):
  """The tangent by a dense Jacobian, flattened."""
  first = [parametrization] if parametrization else []
  last = [transforms.scaled(alpha=jnp.float32(alpha))] if alpha else []
  plain = model_of(module, *first, *last)
  start = start_of(plain)
  now, f = moved(start), jax.jit(lambda variables: plain.apply(variables, X))
  flat, unflatten = jax.flatten_util.ravel_pytree(start['params'])
  jacobian = jax.jit(jax.jacobian(lambda w: plain.apply({**start, 'params': unflatten(w)}, X)))(flat)
  tangent = jacobian @ (jax.flatten_util.ravel_pytree(now['params'])[0] - flat)
  middles = {'centred': [transforms.centred()], 'linearised': [transforms.linearised()]}
  middles['both'] = middles['linearised'] + middles['centred']
  for name, middle in middles.items():
    model = model_of(module, *first, *middle, *last)
    expected = f(start) + tangent if name != 'centred' else f(now)
    expected = expected if name == 'linearised' else expected - f(start)
    np.testing.assert_allclose(jax.jit(lambda v, m=model: m.apply(v, X))(now), expected, rtol=1e-4, atol=1e-5)
    if name != 'linearised':
      np.testing.assert_array_equal(model.apply(start, X), np.zeros((12, 3)))


def test_a_scale_multiplies_the_outputs_and_is_no_parameter():
  plain, scaled = model_of('mlp'), model_of('mlp', transforms.scaled(alpha=3.0))
  variables = plain.init(KEY, None)
  chex.assert_trees_all_equal(scaled.init(KEY, None), variables)
  np.testing.assert_allclose(scaled.apply(variables, X), 3 * plain.apply(variables, X), rtol=1e-6)
  assert scaled.forward(variables, X, train=True)[1].mutated == {}


# ---- one after the other ------------------------------------------------------------------------------------------

MAKE = {
  'scaled': lambda: transforms.scaled(alpha=2.0),
  'centred': transforms.centred,
  'linearised': transforms.linearised,
  'ntk': transforms.ntk,
  'mup': lambda: transforms.mup(base=2),
  'mean_field': transforms.mean_field,
  'subspace': lambda: transforms.subspace(most=6, kind='dense', dimension=4.0),
}
# Those of test_reparametrised.py, test_parametrization.py and test_rounding.py: they need hidden weights, or replace the trained
# tree, or are no smooth function of it.
ELSEWHERE = {
  'depth_mup',
  'u_mup',
  'rounded_weights',
  'weight_norm',
  'weight_standardization',
  'weight_conditioning',
  'weight_compander',
}
PARAMETRIZATIONS = ('ntk', 'mup', 'mean_field')
TWICE = {name: f'transforms has {name} twice' for name in ('scaled', 'centred', 'linearised', 'subspace')}
REFUSED = (
  {(name, name): sentence for name, sentence in TWICE.items()}
  | {pair: 'transforms has two parametrizations' for pair in itertools.product(PARAMETRIZATIONS, repeat=2)}
  | {('subspace', name): 'put it before the subspace' for name in PARAMETRIZATIONS}
  | {(name, 'subspace'): 'gives each layer a learning rate' for name in ('mup', 'mean_field')}
)


def test_the_tables_have_every_transform():
  assert {*MAKE} | ELSEWHERE == {*transforms.__all__}


@pytest.mark.parametrize(('first', 'second'), [*itertools.product(MAKE, repeat=2)])
def test_every_pair_of_transforms_is_its_composition_or_is_refused(first, second):
  """The second acts on the model that the first gives: by hand from that model's own function."""
  module = models.mlp(3, widths=(5,), activation='tanh')
  base = network.initialised(network.from_flax(module, X), inits.gaussian())
  if (first, second) in REFUSED:
    with pytest.raises(ValueError, match=REFUSED[first, second]):
      MAKE[second]()(MAKE[first]()(base))
    return
  inner = MAKE[first]()(base)
  model = MAKE[second]()(inner)
  assert len(model.transforms) == 2
  both = jax.jit(lambda: by_hand(second, inner, model, moved(start_of(model))))
  out, expected = both()
  np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-5)
  assert np.abs(out).max() > 1e-3


def by_hand(second, inner, model, variables):
  """(what the model gives, what the second transform's definition gives from the inner model)."""
  f = lambda params, initial=variables['initial']: inner.apply({**variables, 'params': params, 'initial': initial}, X)
  now, start = variables['params'], variables['initial']
  if second == 'scaled':
    expected = 2.0 * f(now)
  elif second == 'centred':
    expected = f(now) - f(start)
  elif second == 'linearised':
    outputs, change = jax.jvp(f, (start,), (trees.subtract(now, start),))
    expected = outputs + change
  elif second == 'subspace':
    held = variables['frozen']['subspace']
    p = held['projection']['matrix'][:, :4]
    flat, unflatten = jax.flatten_util.ravel_pytree(held['origin'])
    whole = lambda params: unflatten(flat + p @ params['coordinates'][:4])
    expected = f(whole(now), whole(start))
  else:
    a = {layer: {'kernel': multiplier(second, layer), 'bias': 1.0} for layer in ('input', 'readout')}
    seen = lambda params: jax.tree.map(jnp.multiply, a, params)
    expected = f(seen(now), seen(start))
  return model.apply(variables, X), expected


def multiplier(name, layer):
  """a of the kernel of a layer of 4 -> 5 -> 3, from the papers' tables."""
  fan_in = {'input': 4, 'readout': 5}[layer]
  return {
    'ntk': fan_in**-0.5,
    'mup': {'input': 1.0, 'readout': 2 / 5}[layer],
    'mean_field': {'input': fan_in**-0.5, 'readout': 1 / 5}[layer],
  }[name]


COMMUTE = [
  ('scaled', 'centred'),
  ('scaled', 'linearised'),
  ('centred', 'linearised'),
  ('scaled', 'ntk'),
  ('centred', 'ntk'),
  ('linearised', 'ntk'),
  ('scaled', 'subspace'),
  ('centred', 'subspace'),
]


@pytest.mark.parametrize(('a', 'b'), COMMUTE)
def test_both_orders_of_these_agree(a, b):
  module = models.mlp(3, widths=(5,), activation='tanh')
  base = network.initialised(network.from_flax(module, X), inits.gaussian())
  orders = [MAKE[second]()(MAKE[first]()(base)) for first, second in ((a, b), (b, a))]
  variables = moved(start_of(orders[0]))
  outputs = jax.jit(lambda v: [model.apply(v, X) for model in orders])(variables)
  np.testing.assert_allclose(*outputs, rtol=1e-4, atol=1e-5)
