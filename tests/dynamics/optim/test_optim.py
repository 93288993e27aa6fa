"""Traced scalars against optax with python numbers, and this field's own transformations against their formulas."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dynamics import optim, trees
from dynamics.inits import rules

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


def geometric(lr, decay=1.0):
  return optax.sgd(optax.exponential_decay(lr, 1, decay))


def on_the_fly(lr, weight_decay=0.0):
  """On a bowl of curvature 4, the one of `walk`: there each rate is known."""
  return l2(optax.sgd)(learning_rate=lr * 2 / (4 + weight_decay), weight_decay=weight_decay)


TABLE = [
  (optim.sgd, l2(lambda lr: optax.sgd(lr)), ({}, D)),
  (optim.momentum, l2(lambda lr, beta1=0.9: optax.sgd(lr, beta1)), ({}, B, {**B, **D})),
  (optim.subgradient, geometric, ({}, {'decay': 0.7})),
  (optim.adam, l2(adam), ({}, M, {**M, **D})),
  (optim.adamw, adamw, ({}, M, {**M, **D})),
  (optim.on_the_fly, on_the_fly, ({}, D)),
]
ROWS = [(family, reference, {'lr': 0.1, **scalars}) for family, reference, some in TABLE for scalars in some]


def walk(optimizer, params=W, grads=G):
  """The parameters after these gradients."""
  optimizer = optax.with_extra_args_support(optimizer)
  state, bowl = optimizer.init(params), lambda params: lambda v: jax.tree.map(lambda x: 4 * x, v)
  with jax.numpy_dtype_promotion('standard'):
    for g in grads:
      updates, state = optimizer.update(g, state, params, hessian=bowl)
      params = optax.apply_updates(params, updates)
  return params


def close(a, b, **tolerance):
  jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, **(tolerance or {'rtol': 2e-6, 'atol': 1e-6})), a, b)


@pytest.mark.parametrize(('family', 'reference', 'scalars'), ROWS)
def test_traced_scalars_equal_optax_with_numbers(family, reference, scalars):
  traced = jax.jit(lambda hyper: walk(optim.optimizer(family)(hyper)))
  close(traced({k: jnp.float32(v) for k, v in scalars.items()}), walk(reference(**scalars)))


@pytest.mark.parametrize('family', [row[0] for row in TABLE])
def test_scalars_change_without_a_new_compilation(family):
  traces = []

  @jax.jit
  def one(hyper):
    traces.append(1)
    return walk(optim.optimizer(family)(hyper), grads=G[:1])

  names = inspect.signature(family.make).parameters
  out = [one({name: jnp.float32(v) for name in names}) for v in (0.1, 0.2, 0.3)]
  assert len(traces) == 1
  assert not np.allclose(out[0]['a'], out[1]['a'])


def test_weight_decay_is_in_the_gradient_of_adam_and_beside_it_in_adamw():
  """At zero gradient adamw shrinks by lr * decay, and adam takes a full step of its normalised penalty."""
  zero, hyper = [jax.tree.map(np.zeros_like, W)], {'lr': 0.1, 'weight_decay': 0.3, 'eps': 0.0}
  close(walk(optim.optimizer(optim.adamw)({**hyper, 'eps': 1e-8}), grads=zero), jax.tree.map(lambda w: w * (1 - 0.03), W))
  close(walk(optim.optimizer(optim.adam)(hyper), grads=zero), jax.tree.map(lambda w: w - 0.1 * np.sign(w), W))
  close(walk(optim.optimizer(optim.sgd)(hyper), grads=zero), jax.tree.map(lambda w: w * (1 - 0.03), W))


@pytest.mark.parametrize(('family', 'given', 'missing'), [(optim.sgd, {}, 'lr'), (optim.adamw, {'beta1': 0.9}, 'lr')])
def test_a_missing_hyper_value_is_named(family, given, missing):
  with pytest.raises(ValueError, match=f"needs hyper value '{missing}'"):
    optim.optimizer(family)(given)


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
def test_the_chain_projects_before_the_base_optimiser(mode, rescale):
  ours = walk(optim.optimizer(optim.momentum, perpendicular=mode)({'lr': 0.1}))
  close(ours, walk(optax.chain(optim.perpendicular(rescale), optax.sgd(0.1, 0.9))))


# ---- rebalanced -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('beta', [1.0, 0.3])
def test_rebalanced_is_sgd_but_for_one_step_that_keeps_the_product_and_sets_the_imbalance(wide, beta):
  """With two columns of zeros, as factors of smaller rank have them; under vmap, one member is due and one is not."""
  local = np.random.default_rng(1)
  params = {'left': local.normal(size=(6, 4)), 'right': local.normal(size=(4, 5))}
  params['left'][:, 2:], params['right'][2:] = 0, 0
  grads = [jax.tree.map(lambda w: local.normal(size=w.shape), params) for _ in range(3)]
  hyper = lambda at: {'lr': jnp.float32(0.1), 'rebalance_at': jnp.asarray(at, jnp.float32), 'beta': jnp.float32(beta)}
  run = lambda hyper, some: walk(optim.optimizer(optim.rebalanced)(hyper), jax.tree.map(jnp.asarray, params), grads[:some])
  close(run(hyper(7), 3), walk(optax.sgd(0.1), params, grads), rtol=1e-6)
  before, after = run(hyper(2), 2), run(hyper(2), 3)
  np.testing.assert_allclose(after['left'] @ after['right'], before['left'] @ before['right'], atol=1e-12)
  np.testing.assert_allclose(after['left'].T @ after['left'], np.float32(beta) ** 2 * np.eye(4), atol=1e-12)
  both = jax.vmap(lambda at: run({**hyper(0), 'rebalance_at': at}, 3))(jnp.asarray([2.0, 7.0], jnp.float32))
  close(jax.tree.map(lambda x: x[0], both), after, atol=1e-12)
  close(jax.tree.map(lambda x: x[1], both), walk(optax.sgd(0.1), params, grads), rtol=1e-6)


@pytest.mark.parametrize(('shapes', 'said'), [([(3, 2)], 'two factors'), ([(2, 3), (3, 4)], 'no more columns than rows')])
def test_rebalance_says_what_it_needs(shapes, said):
  params = {f'hidden_{i}': jnp.zeros(shape) for i, shape in enumerate(shapes)}
  base = optim.rebalance(0, 1.0)
  with pytest.raises(ValueError, match=said):
    base.update(params, base.init(params), params)


# ---- clip and schedules -----------------------------------------------------------------------------------------


def test_clip_limits_the_global_norm_of_the_gradient():
  size = np.sqrt(sum((g**2).sum() for g in G[0].values()))
  one = lambda clip: walk(optim.optimizer(optim.sgd, clip=clip)({'lr': 1.0}), grads=G[:1])
  close(one(2 * size), one(0.0))
  close(one(size / 4), jax.tree.map(lambda w, g: w - g / 4, W, G[0]))


@pytest.mark.parametrize(
  ('choices', 'factors'),
  [
    ({'warmup': 4}, [0.25, 0.5, 0.75, 1, 1]),
    ({'schedule': 'cosine', 'steps': 4}, [1, (1 + 0.5**0.5) / 2, 0.5, (1 - 0.5**0.5) / 2, 0]),
    ({'schedule': 'cosine', 'steps': 4, 'warmup': 2}, [0.5, (1 + 0.5**0.5) / 2, 0.5, (1 - 0.5**0.5) / 2, 0]),
  ],
)
def test_schedules_multiply_the_learning_rate(choices, factors):
  optimizer, ones = optim.optimizer(optim.sgd, **choices)({'lr': jnp.float32(2.0)}), jnp.ones(1)
  state, seen = optimizer.init(ones), []
  for _ in factors:
    updates, state = optimizer.update(ones, state, ones)
    seen.append(-float(updates[0]) / 2)
  np.testing.assert_allclose(seen, factors, atol=1e-6)


def test_drops_are_traced_and_multiply_the_learning_rate():
  """Members that drop at other times share one program; a schedule of optax says when."""
  optimizer, ones, traces = optim.optimizer(optim.sgd), jnp.ones(1), []

  @jax.jit
  def factors(hyper):
    traces.append(1)
    made = optimizer(hyper)
    state, seen = made.init(ones), []
    for _ in range(7):
      updates, state = made.update(ones, state, ones)
      seen.append(-updates[0] / hyper['lr'])
    return jnp.stack(seen)

  for every, drop in ((3, 0.1), (2, 0.5), (9, 0.1), (2.5, 0.5)):
    found = factors({'lr': jnp.float32(2.0), 'drop_every': jnp.float32(every), 'drop': jnp.float32(drop)})
    expected = optax.piecewise_constant_schedule(1.0, {int(np.ceil(every * i)): drop for i in range(1, 5)})
    np.testing.assert_allclose(found, [expected(t) for t in range(7)], rtol=1e-6)
  assert len(traces) == 1


def test_stated_roles_reach_the_learning_rates_of_the_rule():
  params, ones = ({name: {'kernel': jnp.full((128, 128), v)} for name in ('one', 'two')} for v in (0.0, 1.0))
  update = lambda roles: optim.optimizer(optim.sgd, rule=rules.mup, roles=roles)({'lr': jnp.float32(1)})
  step = lambda roles: (t := update(roles)).update(ones, t.init(params), params)[0]['one']['kernel'][0, 0].item()
  assert (step(None), step({'one/*': 'hidden'}), step({'one/*': 'output'})) == (-2.0, -1.0, -2.0)
  assert step({'two/*': 'input', 'one/*': 'hidden'}) == -1.0
