"""The probes of curvature against numpy's eigenpairs of dense Hessians in float64."""

import functools
from typing import NamedTuple

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dynamics import losses, models, network, optim, probes, trees
from dynamics.types import Batch, Optimizer, StepInfo

N = 12
rng = np.random.default_rng(6)
FLOATS, LABELS = rng.normal(size=(2 * N, 3)), rng.integers(0, 3, 2 * N).astype(np.int32)
TOKENS = rng.integers(0, 4, size=(2 * N, 2)).astype(np.int32)
CASES = {
  'mlp': (models.mlp(3, widths=(5,), activation='tanh', bias=False), FLOATS),
  'transformer': (models.transformer(3, 4, width=4, heads=2, expansion=1, activation='tanh', norm='none'), TOKENS),
}
# A probe sees a network as a function of its params: the small one has all oracles, the other one is slow to compile.
each = pytest.mark.parametrize('name', ['mlp', pytest.param('transformer', marks=pytest.mark.slow)])
close = functools.partial(np.testing.assert_allclose, rtol=1e-6, atol=1e-9)
LR, BETA2, EPS = 0.3, 0.9, 1e-3
EXAMPLES = 9


class Scene(NamedTuple):
  views: list  # with Adam's state after 0, 1 and 2 steps
  updates: list
  rates: dict  # of a parametrization


class Dense(NamedTuple):
  """Of the first EXAMPLES examples."""

  values: np.ndarray  # (p,) ascending
  vectors: np.ndarray  # (p, p) columns
  hessian: np.ndarray
  gradient: np.ndarray


@pytest.fixture(scope='module')
def scene(probing):
  @functools.cache
  def make(name):
    module, x = CASES[name]
    model, draw = network.from_flax(module, jnp.asarray(x)), np.random.default_rng(1)
    examples = Batch(jnp.asarray(x[:N]), jnp.asarray(LABELS[:N]))
    shapes = jax.eval_shape(model.init, jax.random.key(0), None)['params']
    random = lambda size: jax.tree.map(lambda w: jnp.asarray(size * draw.normal(size=w.shape)), shapes)
    params, views, updates = random(0.8), [], []
    optimizer = optim.chain(optim.adam(lr=LR, beta2=BETA2, eps=EPS), clip=3.0)
    state = optimizer.init(params)
    for t in range(3):
      fields = dict(loss=losses.cross_entropy(dtype='float64'), optimizer=optimizer, learning_rate=jnp.float64(LR))
      views.append(probing.view(model, params, examples, step=t, opt_state=state, **fields))
      updates.append(random(0.05))
      with jax.numpy_dtype_promotion('standard'):
        _, state = optimizer.update(random(1.0), state, params)
      params = jax.tree.map(jnp.add, params, updates[-1])
    rates = jax.tree.map(lambda w: float(np.exp(draw.normal())), shapes)
    return Scene(views, updates, rates)

  return make


@pytest.fixture(scope='module')
def oracle(scene):
  @functools.cache
  def make(name):
    first = scene(name).views[0]
    _, back = jax.flatten_util.ravel_pytree(first.variables['params'])
    x, y = jax.tree.map(lambda x: x[:EXAMPLES], first.data.train)
    value = lambda w: jnp.mean(first.problem.loss(first.problem.model.apply({'params': back(w)}, x), y))
    both = jax.jit(lambda w: (jax.hessian(value)(w), jax.grad(value)(w)))
    matrices = [[np.asarray(a) for a in both(vector(view.variables['params']))] for view in scene(name).views]
    return [Dense(*np.linalg.eigh(hessian), hessian, gradient) for hessian, gradient in matrices]

  return make


@pytest.fixture
def readings(probing):
  """Of views in turn, with the updates between them."""

  def read(probe, views, updates):
    measure, state, out = probing.reader(probe, views[0].problem), probe.init(views[0]), []
    for view, update in zip(views, updates, strict=True):
      reading, state = measure(view, state)
      out.append(jax.device_get(reading))
      state = probe.update(state, StepInfo(jnp.float64(0), update, update, None)) if probe.update else state
    return out

  return read


def vector(tree):
  return jax.flatten_util.ravel_pytree(tree)[0]


def blocks(view):
  """path -> positions of a leaf within the vector."""
  sizes = {path: w.size for path, w in trees.by_path(view.variables['params']).items()}
  ends = np.cumsum(list(sizes.values()))
  return {path: np.arange(end - size, end) for (path, size), end in zip(sizes.items(), ends, strict=True)}


@each
def test_sharpness(scene, oracle, readings, wide, name):
  """With a parametrization, whose rates come between the gradient and the weights, and Adam's second moment."""
  k, (views, updates, rates), dense = 2, scene(name), oracle(name)
  views = [v._replace(problem=v.problem._replace(model=v.problem.model._replace(rates=lambda normalised: rates))) for v in views]
  out = readings(probes.sharpness(examples=EXAMPLES, top=k, tolerance=1e-9, leaves=True), views, updates)
  d = np.concatenate([np.full(w.size, r) for w, r in zip(*map(jax.tree.leaves, (updates[0], rates)), strict=True)])
  for t, (read, true) in enumerate(zip(out, dense, strict=True)):
    u = true.vectors[:, ::-1][:, :k]
    close(read['largest'], true.values[::-1][:k])
    close(read['smallest'], true.values[0])
    assert np.all(read['residual'] <= 1e-8)
    assert read['converged'] == 1
    edge = np.linalg.eigvalsh(true.hessian * np.sqrt(np.outer(d, d)))[-1]
    assert abs(edge / true.values[-1] - 1) > 0.05, 'the rates change nothing'
    close(read['lr_largest'], LR * edge)
    close(read['gradient_share'], np.sum((u.T @ true.gradient) ** 2) / np.sum(true.gradient**2), rtol=1e-4)
    if t:
      before, step = dense[t - 1].vectors[:, ::-1][:, :k], np.asarray(vector(updates[t - 1]))
      close(read['update_share'], np.sum((u.T @ step) ** 2) / np.sum(step**2), rtol=1e-4)
      close(read['overlap'], np.sum((u.T @ before) ** 2) / k, rtol=1e-4)
      (adam,) = (s for s in jax.tree.leaves(views[t].opt_state, is_leaf=is_adam) if is_adam(s))
      scale = (np.sqrt(np.asarray(vector(adam.nu)) / (1 - BETA2**t)) + EPS) / d
      close(read['preconditioned'], np.linalg.eigvalsh(true.hessian / np.sqrt(np.outer(scale, scale)))[-1], rtol=1e-5)
      close(read['lr_preconditioned'], LR * read['preconditioned'])
    else:
      assert all(np.isnan(read[what]) for what in ('update_share', 'overlap', 'preconditioned', 'lr_preconditioned'))
    for path, inside in blocks(views[0]).items():
      close(read['largest_of'][path], np.linalg.eigvalsh(true.hessian[np.ix_(inside, inside)])[-1], rtol=1e-5)


def is_adam(state):
  return isinstance(state, optax.ScaleByAdamState)


def test_sharpness_of_plain_gradient_descent_and_of_optimizers_without_a_rate_or_a_preconditioner(scene, oracle, readings, wide):
  (_, view, _), (update, _, _), _ = scene('mlp')
  with_ = lambda optimizer, **fields: view._replace(problem=view.problem._replace(optimizer=optimizer), **fields)
  plain, probe = optim.sgd(lr=LR), probes.sharpness(examples=EXAMPLES, tolerance=1e-9)
  (read,) = readings(probe, [with_(plain)], [update])
  close(read['lr_largest'], LR * oracle('mlp')[1].values[-1])
  assert not any('preconditioned' in name for name in read)
  hidden = Optimizer(plain.init, plain.update, None, normalised=True)
  with pytest.raises(ValueError, match='sharpness cannot read the preconditioner of this optimizer'):
    probe.init(with_(hidden))
  probe = probes.sharpness(examples=EXAMPLES, preconditioned=False)
  (read,) = readings(probe, [with_(hidden, learning_rate=None)], [update])
  assert np.isnan(read['lr_largest'])
  assert np.isfinite(read['largest'])
  assert not any('preconditioned' in name for name in read)


def test_a_warm_start_saves_products_and_outlives_a_reading_that_was_not_finite(scene, probing, wide):
  probe, view = probes.sharpness(examples=EXAMPLES, tolerance=1e-4), scene('mlp').views[1]
  view = view._replace(problem=view.problem._replace(optimizer=optim.sgd(lr=LR)))
  measure = probing.reader(probe, view.problem)
  first, state = measure(view, probe.init(view))
  again, _ = measure(view, state)
  assert again['products'] == 2 < first['products']
  close(again['overlap'], 1)
  broken, state = measure(view._replace(variables=jax.tree.map(lambda w: w * np.nan, view.variables)), state)
  assert np.isnan(broken['largest'])
  healed, _ = measure(view, state)
  close(healed['largest'], first['largest'])


def test_sharpness_reads_every_copy_of_an_eigenvalue(probing, wide):
  """A linear model of 10 outputs under the squared error: every eigenvalue occurs ten times."""
  x = rng.normal(size=(30, 9)) * np.geomspace(3, 0.5, 9)
  apply = lambda variables, x: x @ variables['params']['w']
  batch = Batch(jnp.asarray(x), jnp.asarray(rng.normal(size=(30, 10))))
  view = probing.view(apply, {'w': jnp.zeros((9, 10))}, batch, loss=losses.mean_squared_error(dtype='float64'))
  hessian = probing.read(probes.dense_spectrum(examples=30), view)[0]['eigenvalues']
  assert np.ptp(hessian[-10:]) < 1e-9 < hessian[-10] - hessian[-11]
  for read in probing.read(probes.sharpness(examples=30, top=12, tolerance=1e-6), view, view):
    close(read['largest'], hessian[::-1][:12])
    close(read['smallest'], hessian[0])
    assert read['converged'] == 1
  (read,) = probing.read(probes.sharpness(examples=30, top=12, tolerance=1e-6, limit=20), view)
  assert read['converged'] == 0


@each
def test_hessian_spectrum(scene, oracle, readings, wide, name):
  """Enough steps for the whole space, so that only the random vectors stand between the reading and the truth."""
  (_, view, _), true = scene(name).views, oracle(name)[1]
  values = true.values
  p, updates = values.size, scene(name).updates[:1]
  probe = probes.hessian_spectrum(examples=EXAMPLES, steps=min(p, 70), vectors=20, points=9, width=0.05, leaves=True, keep=True)
  (read,) = readings(probe, [view], updates)
  within = lambda estimate, se, exact: np.testing.assert_array_less(np.abs(estimate - exact), 4.5 * se + 1e-12)
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
    counts.append(best + 1)
    gaps.append(top[best] / top[best + 1])
    middles.append((top[best] * top[best + 1]) ** 0.5)
  close(read['outliers'], np.mean(counts))
  close(read['outliers_se'], np.std(counts, ddof=1) / 20**0.5)
  close(read['outliers_per_class'], np.mean(counts) / 3)
  close(read['copies'], 0, atol=1e-3)
  close(read['gap'], np.mean(gaps), rtol=1e-4)
  close(read['bulk'], np.mean(middles), rtol=1e-4)
  for path, at in blocks(view).items():
    block = true.hessian[np.ix_(at, at)]
    within(read['trace_of'][path], read['trace_se_of'][path], np.trace(block))
    close(read['largest_of'][path], np.linalg.eigvalsh(block)[-1], rtol=1e-4)


@each
def test_dense_spectrum(scene, oracle, probing, wide, name):
  read = probing.read(probes.dense_spectrum(examples=EXAMPLES, chunk=7), scene(name).views[1])[0]
  close(read['eigenvalues'], oracle(name)[1].values, atol=1e-10)


def test_dense_spectrum_refuses_what_it_could_not_hold(probing):
  with pytest.raises(ValueError, match='of up to 3 parameters; there are 4'):
    probes.dense_spectrum(most=3).init(probing.view(lambda v, x: x, {'w': jnp.ones(4)}))


def test_outliers_of_a_spectrum_that_is_known(probing, wide):
  """A quadratic loss with three eigenvalues far above a bulk of 60."""
  values = np.concatenate([rng.uniform(-1, 1, 60), [30, 40, 50]])
  q = np.linalg.qr(rng.normal(size=(63, 63)))[0]
  matrix = jnp.asarray((q * values) @ q.T)
  apply = lambda variables, x: jnp.ones((x.shape[0], 3)) * (variables['params']['w'] @ matrix @ variables['params']['w'] / 2)
  loss = lambda outputs, y: outputs[:, 0]
  batch = Batch(jnp.ones((2, 1)), jnp.zeros(2, jnp.int32))
  view = probing.view(apply, {'w': jnp.asarray(rng.normal(size=63))}, batch, loss=loss)
  (read,) = probing.read(probes.hessian_spectrum(steps=30, vectors=3), view)
  close(read['copies'], 0, atol=1e-6)
  assert read['outliers'] == 3
  assert read['outliers_per_class'] == 1
  assert 1 < read['bulk'] < 30
  assert 25 < read['gap'] < 40
  close(read['largest'], 50)
  assert read['rank'] == 30


def test_copies_of_outliers_are_counted_by_their_weights(probing, wide):
  """A quadratic loss with three eigenvalues of four copies each far above a bulk."""
  values = np.concatenate([rng.uniform(-1, 1, 60), np.repeat([30, 40, 50], 4)])
  q = np.linalg.qr(rng.normal(size=(72, 72)))[0]
  matrix = jnp.asarray((q * values) @ q.T)
  apply = lambda variables, x: jnp.ones((x.shape[0], 3)) * (variables['params']['w'] @ matrix @ variables['params']['w'] / 2)
  batch = Batch(jnp.ones((2, 1)), jnp.zeros(2, jnp.int32))
  view = probing.view(apply, {'w': jnp.asarray(rng.normal(size=72))}, batch, loss=lambda outputs, y: outputs[:, 0])
  (read,) = probing.read(probes.hessian_spectrum(steps=30, vectors=40), view)
  close(read['outliers'], 3, atol=0.1)  # a vector may all but miss one
  assert abs(read['copies'] - 9) < 4 * read['copies_se']
  assert 0.5 < read['copies_se'] / (2 * 9 / 39) ** 0.5 < 2


@pytest.mark.parametrize('probe', ['hessian_spectrum', 'sharpness'])
def test_a_flat_loss_reads_zero_and_no_nan_but_for_shares(probing, wide, probe):
  apply = lambda variables, x: jnp.zeros((x.shape[0], 2)) + 0 * jnp.sum(variables['params']['w'])
  batch = Batch(jnp.ones((2, 1)), jnp.zeros(2, jnp.int32))
  view = probing.view(apply, {'w': jnp.ones(8)}, batch, loss=losses.mean_squared_error(dtype='float64'))
  (read,) = probing.read(getattr(probes, probe)(), view)
  for name in ('largest', 'smallest', *(('trace', 'outliers') if probe == 'hessian_spectrum' else ())):
    assert np.all(read[name] == 0), name


def test_inputs_may_be_a_tree_and_outputs_a_sequence_whose_padding_has_no_curvature(probing, wide):
  """The Hessian over the tokens with a label is that of the same tokens as examples."""
  rows, y = rng.normal(size=(4, 3, 2)), np.array([[0, 1, -1], [1, -1, -1], [1, 0, 0], [-1, 0, 1]], np.int32)
  w, loss = {'w': jnp.asarray(rng.normal(size=(2, 2)))}, losses.cross_entropy(dtype='float64')
  apply = lambda variables, x: jnp.tanh(x['left'] + x['right']) @ variables['params']['w']
  batch = Batch({'left': jnp.asarray(rows / 3), 'right': jnp.asarray(rows * 2 / 3)}, jnp.asarray(y))
  flat = Batch(jax.tree.map(lambda x: x[y >= 0], batch.x), batch.y[y >= 0])
  read = [probing.read(probes.dense_spectrum(), probing.view(apply, w, b, loss=loss))[0]['eigenvalues'] for b in (batch, flat)]
  close(*read)
  assert read[1][-1] > 0.01
