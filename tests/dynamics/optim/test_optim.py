"""Traced scalars against optax with python numbers, and our own transformations against their formulas."""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dynamics import lr_schedules, network, optim, transforms, trees
from dynamics.schema import hyper_values

rng = np.random.default_rng(5)
W = {'a': rng.normal(size=(3, 2)).astype(np.float32), 'b': rng.normal(size=4).astype(np.float32)}
G = [jax.tree.map(lambda w: rng.normal(size=w.shape).astype(np.float32), W) for _ in range(5)]
B, D = {'beta1': 0.8}, {'weight_decay': 0.3}
M = {**B, 'beta2': 0.95, 'eps': 1e-3}


def l2(base):
  return lambda **k: optax.chain(optax.add_decayed_weights(k.pop('weight_decay', 0.0)), base(**k))


def adam(lr, beta1=0.9, beta2=0.999, eps=1e-8):
  return optax.adam(lr, beta1, beta2, eps)


def adamw(lr, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0):
  return optax.adamw(lr, beta1, beta2, eps, weight_decay=weight_decay)


def on_the_fly(lr, weight_decay=0.0):
  """On a bowl of curvature 4, the one of `walk`: there each rate is known."""
  return l2(optax.sgd)(learning_rate=lr * 2 / (4 + weight_decay), weight_decay=weight_decay)


TABLE = [
  (optim.sgd, l2(lambda lr: optax.sgd(lr)), ({}, D)),
  (optim.momentum, l2(lambda lr, beta1=0.9: optax.sgd(lr, beta1)), ({}, B, {**B, **D})),
  (optim.adam, l2(adam), ({}, M, {**M, **D})),
  (optim.adamw, adamw, ({}, M, {**M, **D})),
  (optim.on_the_fly, on_the_fly, ({}, D)),
]
ROWS = [(maker, reference, {'lr': 0.1, **scalars}) for maker, reference, settings in TABLE for scalars in settings]


def walk(optimizer, params=W, grads=G):
  """The parameters after these gradients."""
  if isinstance(optimizer, optax.GradientTransformation):
    optimizer = optim.from_optax(optimizer)
  state, bowl = optimizer.init(params), lambda params: lambda v: jax.tree.map(lambda x: 4 * x, v)
  with jax.numpy_dtype_promotion('standard'):
    for g in grads:
      updates, state = optimizer.update(g, state, params, hessian=bowl)
      params = optax.apply_updates(params, updates)
  return params


def close(a, b, **tolerance):
  chex.assert_trees_all_close(a, b, **(tolerance or {'rtol': 2e-6, 'atol': 1e-6}))


@pytest.mark.parametrize(('maker', 'reference', 'scalars'), ROWS)
def test_traced_scalars_equal_optax_with_numbers(maker, reference, scalars):
  traced = jax.jit(lambda hyper: walk(maker(**hyper)))
  close(traced({k: jnp.float32(v) for k, v in scalars.items()}), walk(reference(**scalars)))


@pytest.mark.parametrize('maker', [row[0] for row in TABLE])
def test_hyper_values_change_without_a_new_compilation(maker):
  traces = []

  @jax.jit
  def step(hyper):
    traces.append(1)
    return walk(maker(**hyper), grads=G[:1])

  after = [step({name: jnp.float32(v) for name in hyper_values(maker)}) for v in (0.1, 0.2, 0.3)]
  assert len(traces) == 1
  assert not np.allclose(after[0]['a'], after[1]['a'])


def test_weight_decay_is_in_the_gradient_of_adam_and_beside_it_in_adamw():
  """At zero gradient adamw shrinks by lr * decay, and adam takes a full step of its normalised penalty."""
  zero, hyper = [jax.tree.map(np.zeros_like, W)], {'lr': 0.1, 'weight_decay': 0.3}
  close(walk(optim.adamw(**hyper), grads=zero), jax.tree.map(lambda w: w * (1 - 0.03), W))
  close(walk(optim.adam(**hyper, eps=0.0), grads=zero), jax.tree.map(lambda w: w - 0.1 * np.sign(w), W))
  close(walk(optim.sgd(**hyper), grads=zero), jax.tree.map(lambda w: w * (1 - 0.03), W))


@pytest.mark.parametrize(('maker', 'given', 'missing'), [(optim.sgd, {}, 'lr'), (optim.adamw, {'beta1': 0.9}, 'lr')])
def test_a_missing_hyper_value_is_named(maker, given, missing):
  with pytest.raises(TypeError, match=f"'{missing}'"):
    maker(**given)


@pytest.mark.parametrize('chained', [{}, {'clip': 9.0, 'perpendicular': 'plain'}], ids=['alone', 'chained'])
@pytest.mark.parametrize('maker', [optim.adam, optim.adamw])
def test_adam_shows_the_diagonal_that_divides_its_gradient(maker, chained):
  """After one step an update is -lr g / (|g| + eps), wherever the chain keeps the moments."""
  optimizer = optim.chain(maker(lr=0.1, beta1=0.5, beta2=0.75, eps=0.2), **chained)  # exact in binary
  state = optimizer.init(W)
  assert all(np.isnan(x).all() for x in jax.tree.leaves(optimizer.precondition(state)))
  with jax.numpy_dtype_promotion('standard'):
    updates, state = optimizer.update(G[0], state, W)
  scale = optimizer.precondition(state)
  # m / (1 - beta1) is the gradient that came to Adam, and scale - eps its size.
  close(jax.tree.map(lambda u, s: jnp.abs(u) * s / 0.1 + 0.2, updates, scale), scale)


# ---- perpendicular ----------------------------------------------------------------------------------------------


def test_perpendicular_is_the_formula_leaf_by_leaf():
  plain, _ = optim.perpendicular(rescale=False).update(G[0], (), W)
  scaled, _ = optim.perpendicular().update(G[0], (), W)
  for name, w in W.items():
    g = G[0][name].astype(np.float64)
    expected = g - (w * g).sum() / (w.astype(np.float64) ** 2).sum() * w
    np.testing.assert_allclose(plain[name], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(scaled[name], expected * np.linalg.norm(g) / np.linalg.norm(expected), rtol=1e-5, atol=1e-6)
    assert abs((scaled[name] * w).sum()) < 1e-5
    np.testing.assert_allclose(np.linalg.norm(scaled[name]), np.linalg.norm(g), rtol=1e-5)
  np.testing.assert_allclose(trees.cosine(plain, W), 0, atol=1e-6)


@pytest.mark.parametrize('rescale', [True, False])
def test_perpendicular_of_zero_weights_or_zero_gradients_is_finite(rescale):
  zero = {'a': jnp.zeros(3)}
  project = lambda g, w: optim.perpendicular(rescale).update(g, (), w)[0]['a']
  np.testing.assert_allclose(project({'a': jnp.arange(3.0)}, zero), np.arange(3.0))  # no direction to take away
  np.testing.assert_array_equal(project(zero, {'a': jnp.ones(3)}), np.zeros(3))
  np.testing.assert_array_equal(project({'a': jnp.asarray([2.0, 0.0])}, {'a': jnp.asarray([1.0, 0.0])}), np.zeros(2))


def test_perpendicular_needs_parameters():
  with pytest.raises(ValueError, match='needs the parameters'):
    optim.perpendicular().update(G[0], ())


@pytest.mark.parametrize(('mode', 'rescale'), [('rescaled', True), ('plain', False)])
def test_the_chain_projects_before_the_base_optimizer(mode, rescale):
  ours = walk(optim.chain(optim.momentum(lr=0.1), perpendicular=mode))
  close(ours, walk(optax.chain(optim.perpendicular(rescale), optax.sgd(0.1, 0.9))))


# ---- clip and schedules -----------------------------------------------------------------------------------------


def test_clip_limits_the_global_norm_of_the_gradient():
  size = np.sqrt(sum((g**2).sum() for g in G[0].values()))
  step = lambda clip: walk(optim.chain(optim.sgd(lr=1.0), clip=clip), grads=G[:1])
  close(step(2 * size), step(0.0))
  close(step(size / 4), jax.tree.map(lambda w, g: w - g / 4, W, G[0]))


HALF = 0.5**0.5
SCHEDULES = [
  ('constant', {'warmup': 4}, 9, [0.25, 0.5, 0.75, 1, 1]),
  ('constant', {}, 9, [1, 1]),
  ('cosine', {}, 4, [1, (1 + HALF) / 2, 0.5, (1 - HALF) / 2, 0]),
  ('cosine', {'warmup': 2}, 4, [0.5, (1 + HALF) / 2, 0.5, (1 - HALF) / 2, 0]),
  ('geometric', {'decay': 0.7}, 9, [0.7**t for t in range(5)]),
  ('geometric', {'decay': 0.7, 'warmup': 2}, 9, [0.5, *(0.7**t for t in range(1, 5))]),
]


@pytest.mark.parametrize(('name', 'fields', 'steps', 'factors'), SCHEDULES)
def test_schedules_multiply_the_learning_rate(name, fields, steps, factors):
  """In the updates, and in what instruments are told."""
  optimizer, ones = optim.chain(optim.sgd(lr=jnp.float32(2)), getattr(lr_schedules, name)(steps, **fields)), jnp.ones(1)
  state, seen = optimizer.init(ones), []
  for _ in factors:
    updates, state = optimizer.update(ones, state, ones)
    seen.append(-float(updates[0]) / 2)
  np.testing.assert_allclose(seen, factors, atol=1e-6)
  np.testing.assert_allclose([optimizer.learning_rate(jnp.int32(t)) / 2 for t in range(len(factors))], factors, atol=1e-6)


def test_sgd_under_the_geometric_schedule_is_optax_with_an_exponential_decay():
  ours = optim.chain(optim.sgd(lr=0.1), lr_schedules.geometric(5, decay=jnp.float32(0.7)))
  close(walk(ours), walk(optax.sgd(optax.exponential_decay(0.1, 1, 0.7))))


def test_drops_are_traced_and_multiply_the_learning_rate():
  """Members that drop at other times share one program; a schedule of optax says when."""
  ones, traces = jnp.ones(1), []

  @jax.jit
  def factors(hyper):
    traces.append(1)
    optimizer = optim.chain(optim.sgd(lr=jnp.float32(2)), lr_schedules.drops(7, **hyper))
    state, seen = optimizer.init(ones), []
    for _ in range(7):
      updates, state = optimizer.update(ones, state, ones)
      seen.append(-updates[0] / 2)
    return jnp.stack(seen)

  for every, drop in ((3, 0.1), (2, 0.5), (9, 0.1), (2.5, 0.5)):
    expected = optax.piecewise_constant_schedule(1.0, {int(np.ceil(every * i)): drop for i in range(1, 5)})
    ours = factors({'drop_every': jnp.float32(every), 'drop': jnp.float32(drop)})
    np.testing.assert_allclose(ours, [expected(t) for t in range(7)], rtol=1e-6)
  assert len(traces) == 1


class Two(nn.Module):
  @nn.compact
  def __call__(self, x):
    return nn.Dense(128, use_bias=False, name='two')(nn.Dense(128, use_bias=False, name='one')(x))


def test_stated_roles_reach_the_learning_rates_of_the_parametrization():
  """mup relative to 64, at width 128: twice the rate in the first and in the last layer, and the run's in hidden ones."""
  params, ones = ({name: {'kernel': jnp.full((128, 128), v)} for name in ('one', 'two')} for v in (0.0, 1.0))

  def steps(roles):
    model = transforms.mup(base=64)(network.from_flax(Two(), jnp.zeros((1, 128)), roles))
    optimizer = optim.chain(optim.sgd(lr=1.0), rates=model.rates)
    updates, _ = optimizer.update(ones, optimizer.init(params), params)
    return tuple(updates[name]['kernel'][0, 0].item() for name in ('one', 'two'))

  assert steps(None) == (-2.0, -2.0)
  assert steps({'one/*': 'hidden'}) == (-1.0, -2.0)
  assert steps({'one/*': 'output'}) == (-2.0, -2.0)
  assert steps({'two/*': 'input', 'one/*': 'hidden'}) == (-1.0, -2.0)
  assert steps({'two/*': 'hidden'}) == (-2.0, -1.0)
