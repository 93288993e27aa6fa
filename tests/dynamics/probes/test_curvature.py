"""The probes of curvature against numpy's eigenpairs of dense Hessians in float64."""

import functools
from typing import NamedTuple

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dynamics import losses, models, probes, trees
from dynamics.types import Batch, Data, Signal, View

N = 12
rng = np.random.default_rng(6)
FLOATS, LABELS = rng.normal(size=(2 * N, 3)), rng.integers(0, 3, 2 * N).astype(np.int32)
TOKENS = rng.integers(0, 4, size=(2 * N, 2)).astype(np.int32)
CASES = {
  'mlp': (models.mlp(widths=(5, 4), activation='tanh', outputs=3), FLOATS),
  'transformer': (
    models.transformer(width=4, heads=2, expansion=1, activation='tanh', norm='none', outputs=3, vocabulary=4), TOKENS
  ),
}  # fmt: skip
each = pytest.mark.parametrize('name', CASES)
close = functools.partial(np.testing.assert_allclose, rtol=1e-6, atol=1e-9)
LR, BETA2, EPS = 0.3, 0.9, 1e-3
EXAMPLES = 9


class Scene(NamedTuple):
  apply: object
  loss: object
  views: list  # with Adam's state after 0, 1 and 2 steps
  updates: list


class Dense(NamedTuple):
  """Of the first EXAMPLES examples."""

  values: np.ndarray  # (p,) ascending
  vectors: np.ndarray  # (p, p) columns
  hessian: np.ndarray
  gradient: np.ndarray


@functools.cache
def scene(name: str) -> Scene:
  module, x = CASES[name]
  apply = lambda variables, x, train=False: module.apply(variables, x)
  loss, draw = losses.cross_entropy(dtype='float64'), np.random.default_rng(1)
  batch = lambda half: Batch(jnp.asarray(x[half]), jnp.asarray(LABELS[half]))
  data = Data(batch(slice(N)), batch(slice(N, None)))
  shapes = jax.eval_shape(module.init, jax.random.key(0), data.train.x)['params']
  random = lambda size: jax.tree.map(lambda w: jnp.asarray(size * draw.normal(size=w.shape)), shapes)
  params, adam, views, updates = random(0.8), optax.scale_by_adam(b2=BETA2, eps=EPS), [], []
  state = adam.init(params)
  hyper = {name: jnp.float64(value) for name, value in (('lr', LR), ('beta2', BETA2), ('eps', EPS))}
  for t in range(3):
    view = View(jnp.int32(t), {'params': params}, {'params': params}, (optax.EmptyState(), (state,)), hyper, data)
    views.append(view)
    updates.append(random(0.05))
    params = jax.tree.map(jnp.add, params, updates[-1])
    with jax.numpy_dtype_promotion('standard'):
      _, state = adam.update(random(1.0), state)
  return Scene(apply, loss, views, updates)


@functools.cache
def oracle(name: str) -> list[Dense]:
  some, found = scene(name), []
  _, back = jax.flatten_util.ravel_pytree(some.views[0].variables['params'])
  batch = jax.tree.map(lambda x: x[:EXAMPLES], some.views[0].data.train)
  value = lambda w: jnp.mean(some.loss(some.apply({'params': back(w)}, batch.x), batch.y))
  both = jax.jit(lambda w: (jax.hessian(value)(w), jax.grad(value)(w)))
  for view in some.views:
    hessian, gradient = (np.asarray(a) for a in both(vector(view.variables['params'])))
    found.append(Dense(*np.linalg.eigh(hessian), hessian, gradient))
  return found


def vector(tree):
  return jax.flatten_util.ravel_pytree(tree)[0]


def readings(name, probe):
  some = scene(name)
  memory, out = probe.init(some.views[0]), []
  measure = jax.jit(lambda view, memory: probe.measure(view, memory, jax.random.key(0)))
  for view, update in zip(some.views, some.updates, strict=True):
    reading, memory = measure(view, memory)
    out.append(jax.device_get(reading))
    if probe.update:
      memory = probe.update(memory, Signal(jnp.float64(0), update, update))
  return out


@each
def test_sharpness(wide, name):
  k = 2
  out = readings(name, maker(name)('sharpness', top=k, tolerance=1e-9, leaves=True))
  views, updates, dense = scene(name).views, scene(name).updates, oracle(name)
  for t, (read, true) in enumerate(zip(out, dense, strict=True)):
    u = true.vectors[:, ::-1][:, :k]
    close(read['largest'], true.values[::-1][:k])
    close(read['smallest'], true.values[0])
    assert np.all(read['residual'] <= 1e-8)
    close(read['lr_largest'], LR * true.values[-1])
    close(read['gradient_share'], np.sum((u.T @ true.gradient) ** 2) / np.sum(true.gradient**2), rtol=1e-4)
    if t:
      before, step = dense[t - 1].vectors[:, ::-1][:, :k], np.asarray(vector(updates[t - 1]))
      close(read['update_share'], np.sum((u.T @ step) ** 2) / np.sum(step**2), rtol=1e-4)
      close(read['overlap'], np.sum((u.T @ before) ** 2) / k, rtol=1e-4)
      state = views[t].opt_state[1][0]
      scale = np.sqrt(np.asarray(vector(state.nu)) / (1 - BETA2**t)) + EPS
      close(read['preconditioned'], np.linalg.eigvalsh(true.hessian / np.sqrt(np.outer(scale, scale)))[-1], rtol=1e-5)
      close(read['lr_preconditioned'], LR * read['preconditioned'])
    else:
      assert all(np.isnan(read[what]) for what in ('update_share', 'overlap', 'preconditioned', 'lr_preconditioned'))
    for path, inside in blocks(name).items():
      close(read['largest_of'][path], np.linalg.eigvalsh(true.hessian[np.ix_(inside, inside)])[-1], rtol=1e-5)


def maker(name):
  some = scene(name)
  return lambda probe, **choices: getattr(probes, probe)(some.apply, some.loss, examples=EXAMPLES, **choices)


def blocks(name):
  """path -> positions of a leaf within the vector."""
  sizes = {path: w.size for path, w in trees.by_path(scene(name).views[0].variables['params']).items()}
  ends = np.cumsum(list(sizes.values()))
  return {path: np.arange(end - size, end) for (path, size), end in zip(sizes.items(), ends, strict=True)}


def test_a_warm_start_saves_products_and_outlives_a_reading_that_was_not_finite(wide):
  probe = maker('mlp')('sharpness', tolerance=1e-4)
  view = scene('mlp').views[1]._replace(opt_state=())
  measure = jax.jit(lambda view, memory: probe.measure(view, memory, jax.random.key(0)))
  first, memory = measure(view, probe.init(view))
  again, _ = measure(view, memory)
  assert again['products'] == 2 < first['products']
  close(again['overlap'], 1)
  assert 'preconditioned' not in again
  broken, memory = measure(view._replace(variables=jax.tree.map(lambda w: w * np.nan, view.variables)), memory)
  assert np.isnan(broken['largest'])
  healed, _ = measure(view, memory)
  close(healed['largest'], first['largest'])


@each
def test_hessian_spectrum(wide, name):
  """Enough steps for the whole space, so that only the random vectors stand between the reading and the truth."""
  p = oracle(name)[0].values.size
  probe = maker(name)('hessian_spectrum', steps=min(p, 70), vectors=20, points=9, width=0.05, leaves=True, keep=True)
  read, true = readings(name, probe)[1], oracle(name)[1]
  values = true.values
  within = lambda found, se, exact: np.testing.assert_array_less(np.abs(found - exact), 4.5 * se + 1e-12)
  within(read['trace'], read['trace_se'], values.sum())
  within(read['moments'], read['moments_se'], [np.mean(values**q) for q in (1, 2, 3, 4)])
  close(read['largest'], values[-1])
  close(read['smallest'], values[0], rtol=1e-4)
  sigma = 0.05 * (values[-1] - values[0])
  close(read['grid'], np.linspace(values[0] - 3 * sigma, values[-1] + 3 * sigma, 9), rtol=1e-3, atol=1e-5)
  z = (read['grid'][:, None] - read['nodes'].reshape(1, -1)) / sigma
  smooth = np.exp(-(z**2) / 2) @ read['weights'].reshape(-1) / 20 / sigma / np.sqrt(2 * np.pi)
  close(read['density'], smooth, rtol=1e-3, atol=1e-5)
  close(np.sum(read['weights'], axis=1), 1)
  counts, gaps, middles = [], [], []
  for nodes, weights in zip(read['nodes'], read['weights'], strict=True):
    top = np.sort(nodes[(weights * p > 1e-3) & (nodes > 0)])[::-1][:7]  # 2 k + 1
    best = max(range(len(top) - 1), key=lambda i: top[i] / top[i + 1])
    counts, gaps, middles = (
      [*counts, best + 1],
      [*gaps, top[best] / top[best + 1]],
      [*middles, (top[best] * top[best + 1]) ** 0.5],
    )
  close(read['outliers'], np.mean(counts))
  close(read['outliers_se'], np.std(counts, ddof=1) / 20**0.5)
  close(read['outliers_per_class'], np.mean(counts) / 3)
  close(read['gap'], np.mean(gaps), rtol=1e-4)
  close(read['bulk'], np.mean(middles), rtol=1e-4)
  for path, at in blocks(name).items():
    block = true.hessian[np.ix_(at, at)]
    within(read['trace_of'][path], read['trace_se_of'][path], np.trace(block))
    close(read['largest_of'][path], np.linalg.eigvalsh(block)[-1], rtol=1e-4)


@each
def test_dense_spectrum(wide, name):
  read, true = readings(name, maker(name)('dense_spectrum', chunk=7))[1], oracle(name)[1]
  close(read['eigenvalues'], true.values, atol=1e-10)


def test_dense_spectrum_refuses_what_it_could_not_hold():
  with pytest.raises(ValueError, match='of up to 3 parameters'):
    readings('mlp', maker('mlp')('dense_spectrum', most=3))


def test_outliers_of_a_spectrum_that_is_known(wide):
  """A quadratic loss with three eigenvalues far above a bulk of 60."""
  values = np.concatenate([rng.uniform(-1, 1, 60), [30, 40, 50]])
  q = np.linalg.qr(rng.normal(size=(63, 63)))[0]
  matrix = jnp.asarray((q * values) @ q.T)
  apply = lambda variables, x, train=False: (
    jnp.ones((x.shape[0], 3)) * (variables['params']['w'] @ matrix @ variables['params']['w'] / 2)
  )
  loss = lambda outputs, y: outputs[:, 0]
  variables, batch = {'params': {'w': jnp.asarray(rng.normal(size=63))}}, Batch(jnp.ones((2, 1)), jnp.zeros(2, jnp.int32))
  view = View(jnp.int32(0), variables, variables, (), {}, Data(batch, batch))
  probe = probes.hessian_spectrum(apply, loss, steps=30, vectors=3)
  read, _ = jax.jit(lambda view: probe.measure(view, (), jax.random.key(0)))(view)
  assert read['outliers'] == 3
  assert read['outliers_per_class'] == 1
  assert 1 < read['bulk'] < 30
  assert 25 < read['gap'] < 40
  close(read['largest'], 50)
  assert read['rank'] == 30


@pytest.mark.parametrize('probe', ['hessian_spectrum', 'sharpness'])
def test_a_flat_loss_reads_zero_and_no_nan_but_for_shares(wide, probe):
  apply = lambda variables, x, train=False: jnp.zeros((x.shape[0], 2)) + 0 * jnp.sum(variables['params']['w'])
  variables, batch = {'params': {'w': jnp.ones(8)}}, Batch(jnp.ones((2, 1)), jnp.zeros(2, jnp.int32))
  view = View(jnp.int32(0), variables, variables, (), {}, Data(batch, batch))
  made = getattr(probes, probe)(apply, losses.mean_squared_error(dtype='float64'))
  read, _ = jax.jit(lambda view: made.measure(view, made.init(view), jax.random.key(0)))(view)
  for name in ('largest', 'smallest', *(('trace', 'outliers') if probe == 'hessian_spectrum' else ())):
    assert np.all(read[name] == 0), name
