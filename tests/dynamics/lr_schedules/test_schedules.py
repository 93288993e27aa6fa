"""Factors on the learning rate against their formulas, and the rate that probes see against the steps that are taken."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dynamics import inits, lr_schedules, models, network, optim, train, transforms
from dynamics.optim.chain import chain
from dynamics.types import Probe

T = np.arange(9)
RISE = np.minimum(1, (T + 1) / 4)
COSINE = (1 + np.cos(np.pi * np.minimum(T / 6, 1))) / 2
CASES = {
  'cosine': (lambda: lr_schedules.cosine(6), COSINE),
  'cosine, warmup': (lambda: lr_schedules.cosine(6, warmup=4), COSINE * RISE),
  'warmup': (lambda: lr_schedules.constant(6, warmup=4), RISE),
  'drops': (lambda: lr_schedules.drops(6, drop_every=jnp.float32(3)), 0.1 ** (T // 3)),
  'drops between steps': (lambda: lr_schedules.drops(6, drop_every=jnp.float32(2.5), drop=jnp.float32(0.5)), 0.5 ** (T // 2.5)),
  'drops, warmup': (lambda: lr_schedules.drops(6, drop_every=jnp.float32(2), warmup=4), 0.1 ** (T // 2) * RISE),
  'geometric': (lambda: lr_schedules.geometric(6, decay=jnp.float32(0.7)), 0.7**T),
  'geometric, warmup': (lambda: lr_schedules.geometric(6, decay=jnp.float32(0.7), warmup=4), 0.7**T * RISE),
  'geometric of nothing': (lambda: lr_schedules.geometric(6), np.ones(9)),
}


@pytest.fixture(scope='module')
def factors():
  return jax.device_get(jax.jit(lambda t: {name: jax.vmap(make())(t) for name, (make, _) in CASES.items()})(jnp.arange(9)))


@pytest.mark.parametrize('name', CASES)
def test_factors_are_those_of_the_formula(factors, name):
  np.testing.assert_allclose(factors[name], CASES[name][1], rtol=1e-5, atol=1e-7)
  assert lr_schedules.constant(6) is None  # 1 throughout leaves the program as it is


def test_drops_are_those_of_optax():
  for every, drop in ((3, 0.1), (2, 0.5), (9, 0.1), (2.5, 0.5)):
    expected = optax.piecewise_constant_schedule(1.0, {int(np.ceil(every * i)): drop for i in range(1, 5)})
    factor = lr_schedules.drops(7, drop_every=every, drop=drop)
    np.testing.assert_allclose([factor(jnp.int32(t)) for t in range(7)], [expected(t) for t in range(7)], rtol=1e-6)


# ---- what probes see ----------------------------------------------------------------------------------------------


def listener():
  """The rates that the last step was told, and its updates over its gradients."""
  shape = lambda view: jax.tree.map(lambda w: jnp.float32(0), view.variables['params'])
  init = lambda view: (shape(view), shape(view))
  ratio = lambda u, g: -jnp.sum(u * g) / jnp.sum(g * g)
  of_leaves = lambda rate, tree: jax.tree.map(lambda _: rate, tree) if isinstance(rate, jax.Array) else rate
  update = lambda state, info: (of_leaves(info.learning_rate, info.grads), jax.tree.map(ratio, info.updates, info.grads))
  read = lambda view, state, key: ({'told': state[0], 'taken': state[1], 'coming': view.learning_rate}, state)
  return Probe(init, read, update)


@pytest.mark.parametrize('parametrization', [None, 'mup'])
def test_the_rate_that_probes_see_is_that_of_the_step_of_every_leaf(cases, parametrization):
  """lr * factor(t) * the parametrization's factor, for members that drop at other times: one program."""
  draws, loss = cases.case('floats').draws, cases.case('floats').loss
  model = network.initialised(network.from_flax(models.mlp(2, widths=(6,)), draws.train.x), inits.gaussian())
  model = transforms.mup(base=3)(model) if parametrization else model
  drops = lambda hyper: lr_schedules.drops(7, drop_every=hyper['drop_every'], drop=0.5)
  optimizer = lambda hyper: chain(optim.sgd(lr=hyper['lr']), drops(hyper), model.rates)
  study = cases.study_of(model, draws, loss, 6, {'rates': listener()}, range(7), optimizer=optimizer)
  table = train.run(study, (0, 1), {'lr': (0.1, 0.2), 'drop_every': (2, 3)}).arrays['rates'].transpose('step', 'member')
  expected = np.stack([0.1 * 0.5 ** (T // 2), 0.2 * 0.5 ** (T // 3)], axis=1)
  np.testing.assert_allclose(table['coming'], expected[:7], rtol=1e-5)
  rates = (
    model.rates(False) if parametrization else jax.tree.map(lambda w: 1.0, jax.eval_shape(model.init, jax.random.key(0), None))
  )
  for layer in ('input', 'readout'):
    factor = rates[layer]['kernel'] if parametrization else 1.0
    for kind in ('told', 'taken'):
      np.testing.assert_allclose(table[f'{kind}/{layer}/kernel'][1:], factor * expected[:6], rtol=1e-4)
  assert not parametrization or rates['input']['kernel'] == 2.0


def test_an_optimizer_that_names_no_rate_shows_none(cases):
  small = cases.case('linear')
  seen = []

  def read(view):
    seen.append(view.learning_rate)
    return jnp.float32(0)

  optimizer = lambda hyper: optim.from_optax(optax.sgd(0.1))
  study = cases.study_of(small.model, small.draws, small.loss, 0, {'none': read}, (0,), optimizer=optimizer)
  train.run(study, (0,), {})
  assert seen
  assert all(rate is None for rate in seen)
