"""The probes of the regime against numpy in float64: dense Jacobians, singular values, and loops over units and classes."""

import functools
from typing import NamedTuple

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import losses, models, network, probes, transforms, trees
from dynamics.types import Batch

rng = np.random.default_rng(11)
N = 6
FLOATS, TOKENS = rng.normal(size=(2 * N, 3)), rng.permutation(16)[: 2 * N]
TOKENS = np.stack([TOKENS // 4, TOKENS % 4], axis=1).astype(np.int32)  # no pair twice
LABELS = np.array([0, 1, 2, 1, 0, 2] * 2, np.int32)


class Case(NamedTuple):
  module: object
  x: np.ndarray
  y: np.ndarray
  outputs: int


VALUES, SERIES = rng.normal(size=(2 * N, 2)), rng.normal(size=(2 * N, 4, 3))
CASES = {
  'mlp': Case(models.mlp(3, widths=(4, 3), activation='tanh'), FLOATS, LABELS, 3),
  'one_output': Case(models.mlp(1, widths=(4,), activation='tanh'), FLOATS, (LABELS % 2).astype(np.uint8), 1),  # unsigned
  'values': Case(models.mlp(2, widths=(4,), activation='tanh'), FLOATS, VALUES, 2),
  'rnn': Case(models.rnn(2, width=3, activation='tanh', response=2), SERIES, VALUES, 2),
  'tokens': Case(models.mlp(3, 4, widths=(7,), activation='gelu', bias=False), TOKENS, LABELS, 3),
  'transformer': Case(models.transformer(3, 4, width=4, heads=2, expansion=2, activation='tanh', norm='none'), TOKENS, LABELS, 3),
}


def quick(*names):
  """All cases, of which the others are slow: a probe sees a network as a function, whose kernels have tests of their own."""
  return pytest.mark.parametrize('name', [n if n in names else pytest.param(n, marks=pytest.mark.slow) for n in CASES])


# Laws that share these fields share the compiled programs.
FIELDS = {'kernel': dict(examples=99, top=2, keep=True), 'kernel_regression': dict(ridge=0.1)}


@pytest.fixture(scope='module')
def scene(probing):
  """Views of a model at steps 0, 4 and 10 of an imagined training."""

  @functools.cache
  def make(name):
    case = CASES[name]
    loss = losses.hinge(dtype='float64') if name == 'one_output' else losses.mean_squared_error(dtype='float64')
    model, draw = network.from_flax(case.module, case.x), np.random.default_rng(2)
    start = jax.tree.map(lambda w: np.asarray(w, np.float64), model.init(jax.random.key(5), None)['params'])
    step = lambda tree, size: jax.tree.map(lambda w: w + size * draw.normal(size=w.shape), tree)
    middle = step(start, 0.1)
    train, test = (Batch(jnp.asarray(case.x[half]), jnp.asarray(case.y[half])) for half in (slice(N), slice(N, None)))
    view = probing.view(model, start, train, test=test, loss=loss)
    at = lambda t, params: view._replace(
      step=jnp.int32(t), variables={**view.variables, 'params': jax.tree.map(jnp.asarray, params)}
    )
    return [at(0, start), at(4, middle), at(10, step(middle, 0.2))]

  return make


@pytest.fixture(scope='module')
def readings(probing, scene):
  """At each view, with the state of those before, as numpy."""

  @functools.cache
  def programs(maker, name):
    probe, problem = getattr(probes, maker)(**FIELDS.get(maker, {})), scene(name)[0].problem
    init = jax.jit(lambda view: probe.init(view._replace(problem=problem)))
    return lambda view: init(view._replace(problem=None)), probing.reader(probe, problem)

  def read(maker, name, views=None):
    init, measure = programs(maker, name)
    views, out = scene(name) if views is None else views, []
    state = init(views[0])
    for view in views:
      reading, state = measure(view, state)
      out.append(jax.device_get(reading))
    return out

  return read


def jacobian(view, x):
  """(n, k, p) in the order of the leaves."""
  return np.asarray(dense(view.problem.model)(view.variables, x))


@functools.cache
def dense(model):
  def derivative(variables, x):
    flat, back = jax.flatten_util.ravel_pytree(variables['params'])
    return jax.jacobian(lambda w: model.apply({**variables, 'params': back(w)}, x))(flat)

  return jax.jit(derivative)


def apply(view, x):
  return np.asarray(view.problem.model.apply(view.variables, x))


def cosine(a, b):
  return np.sum(a * b) / np.linalg.norm(a) / np.linalg.norm(b)


def entropy_rank(values):
  share = values[values > 1e-13 * values.max()] / values.sum()
  return np.prod(share**-share)


def onehot(name):
  case = CASES[name]
  return case.y if case.y.ndim == 2 else 2.0 * case.y[:, None] - 1 if case.outputs == 1 else np.eye(case.outputs)[case.y]


close = functools.partial(np.testing.assert_allclose, rtol=1e-7, atol=1e-10)

# ---- kernels ----------------------------------------------------------------------------------------------------


@quick('mlp')
def test_kernel_against_dense_jacobians(scene, readings, wide, name):
  views, out = scene(name), readings('kernel', name)
  features = [jacobian(view, view.data.train.x).reshape(N, -1) for view in views]
  kernels = [f @ f.T for f in features]
  y = onehot(name)[:N] - onehot(name)[:N].mean(axis=0)
  centre = lambda f: f - f.mean(axis=0)
  gram = lambda f: f @ f.T
  for t, (f, k, read) in enumerate(zip(features, kernels, out, strict=True)):
    values = np.linalg.svd(f, compute_uv=False) ** 2
    close(read['kernel'], k, rtol=1e-9)
    close(read['drift'], np.linalg.norm(k - kernels[0]) / np.linalg.norm(kernels[0]))
    close(read['alignment'], cosine(k, kernels[0]))
    close(read['centred_alignment'], cosine(gram(centre(f)), gram(centre(features[0]))))
    moved = 1 - cosine(k, kernels[max(t - 1, 0)])
    close(read['moved'], moved)
    close(read['velocity'], [np.nan, moved / 4, moved / 6][t])
    close(read['target_alignment'], cosine(gram(centre(f)), gram(y)))
    close(read['trace'], np.sum(f**2))
    close(read['eigenvalues'], values[:2])
    close(read['rank'], entropy_rank(values))
    close(read['stable_rank'], values.sum() / values[0])
    close(read['condition'], values[0] / values[-1], rtol=1e-5)
  sizes = {path: w.size for path, w in trees.by_path(views[2].variables['params']).items()}
  # Leaves lie one after the other in each output's gradient.
  pieces = np.split(features[2].reshape(N, -1, sum(sizes.values())), np.cumsum(list(sizes.values()))[:-1], axis=2)
  for path, piece in zip(sizes, pieces, strict=True):
    close(out[2]['share_of'][path], np.sum(piece**2) / np.sum(features[2] ** 2))


def test_kernel_reads_the_first_examples_and_an_equal_step_has_no_velocity(probing, scene, wide):
  views = [scene('one_output')[t] for t in (0, 2, 2)]
  short = probing.read(probes.kernel(examples=3, leaves=False, keep=True), *views)
  f = jacobian(views[2], views[2].data.train.x[:3]).reshape(3, -1)
  close(short[1]['kernel'], f @ f.T)
  assert short[1]['eigenvalues'].shape == (3,)
  assert 'share_of' not in short[1]
  assert np.isnan(short[2]['velocity'])
  assert short[2]['moved'] < 1e-30  # far below rounding of the cosine itself


def test_the_kernel_of_a_model_that_holds_a_traced_scale(scene, wide):
  """Members differ in alpha within one program, and their kernels by its square."""
  view, probe = scene('one_output')[0], probes.kernel(leaves=False)

  @jax.jit
  @jax.vmap
  def trace(alpha):
    model = transforms.scaled(alpha=alpha)(view.problem.model)
    scaled = view._replace(problem=view.problem._replace(model=model))
    return probe.measure(scaled, probe.init(scaled), None)[0]['trace']

  out = trace(jnp.asarray([1.0, 3.0]))
  close(out[1] / out[0], 9)


@quick('mlp', 'one_output', 'values')  # labels, signs and floats; the kernel itself is tested above
def test_kernel_regression_is_ridge_regression_on_dense_jacobians(scene, readings, wide, name):
  views, out = scene(name), readings('kernel_regression', name)
  train, test, _ = views[0].data
  y = onehot(name)[:N]

  def predictions(view):
    a, b = (jacobian(view, x).reshape(N, -1) for x in (train.x, test.x))
    penalty = 0.1 * np.sum(a**2) / N * np.eye(a.shape[1])
    return y.mean(axis=0) + b @ np.linalg.solve(a.T @ a + penalty, a.T @ (y - y.mean(axis=0)))

  single = CASES[name].outputs == 1
  classes = lambda z: (z[:, 0] > 0) if single else z.argmax(1)
  labels = np.asarray(test.y if test.y.ndim == 1 else np.argmax(test.y, 1))
  for view, read in zip(views, out, strict=True):
    outputs, current = apply(view, test.x), predictions(view)
    for part, z in (('network', outputs), ('current', current), ('initial', predictions(views[0]))):
      hits = classes(z) == labels
      each_loss = np.maximum(1 - z[:, 0] * onehot(name)[N:, 0], 0) if single else np.sum((z - onehot(name)[N:]) ** 2, axis=1) / 2
      close(read[part]['loss'], each_loss.mean())
      close(read[part]['loss_se'], each_loss.std(ddof=1) / N**0.5)
      close(read[part]['accuracy'], hits.mean(), rtol=1e-6)
      close(read[part]['accuracy_se'], hits.std(ddof=1) / N**0.5, rtol=1e-6)
    close(read['agreement'], np.mean(classes(outputs) == classes(current)), rtol=1e-6)


# ---- the tangent model ------------------------------------------------------------------------------------------


@quick('mlp', 'one_output')
def test_linearisation_against_dense_jacobians(scene, readings, wide, name):
  views, out = scene(name), readings('linearisation', name)
  x, y = views[0].data.test
  flat = lambda view: np.asarray(jax.flatten_util.ravel_pytree(view.variables['params'])[0])
  j0, f0 = jacobian(views[0], x), apply(views[0], x)
  assert np.isnan(out[0]['error'])
  for view, read in zip(views[1:], out[1:], strict=True):
    f, tangent = apply(view, x), f0 + j0 @ (flat(view) - flat(views[0]))
    close(read['error'], np.linalg.norm(f - tangent) / np.linalg.norm(f - f0))
    close(read['loss'], np.mean(view.problem.loss(jnp.asarray(tangent), y)))
    classes = lambda z: (z[:, 0] > 0) if z.shape[1] == 1 else z.argmax(1)
    close(read['agreement'], np.mean(classes(f) == classes(tangent)), rtol=1e-6)
    labels = np.asarray(y if y.ndim == 1 else jnp.argmax(y, 1))
    close(read['accuracy'], np.mean(classes(tangent) == labels), rtol=1e-6)


def test_a_model_that_is_linear_in_its_weights_is_its_own_tangent(probing, wide):
  linear = lambda variables, x: x @ variables['params']['w']
  now, start = ({'w': jnp.asarray(rng.normal(size=(3, 2)))} for _ in range(2))
  batch, loss = Batch(jnp.asarray(FLOATS), jnp.asarray(VALUES)), losses.mean_squared_error(dtype='float64')
  (out,) = probing.read(probes.linearisation(), probing.view(linear, now, batch, initial=start, loss=loss))
  assert out['error'] < 1e-14
  assert out['agreement'] == 1


# ---- features ---------------------------------------------------------------------------------------------------


@quick('mlp', 'rnn')
def test_representation_against_singular_values(scene, readings, wide, name):
  views, out = scene(name), readings('representation', name)
  features = lambda view: view.problem.model.forward(view.variables, view.data.train.x)[1].features
  shown = [{layer: np.asarray(h) for layer, h in features(view).items()} for view in views]
  size = lambda a, b: np.linalg.norm(a.T @ b)
  for now, read in zip(shown, out, strict=True):
    for layer in now:
      a, b = (h[layer].reshape(N, -1) for h in (now, shown[0]))
      close(read['alignment_of'][layer], size(a, b) ** 2 / size(a, a) / size(b, b))
      a, b = a - a.mean(axis=0), b - b.mean(axis=0)
      close(read['cka_of'][layer], size(a, b) ** 2 / size(a, a) / size(b, b))
      rows = now[layer].reshape(-1, now[layer].shape[-1])
      values = np.linalg.svd(rows - rows.mean(axis=0), compute_uv=False) ** 2
      close(read['rank_of'][layer], entropy_rank(values))
      close(read['participation_of'][layer], values.sum() ** 2 / np.sum(values**2))
    last = list(now)[-1]
    assert all(read[which] == read[f'{which}_of'][last] for which in ('alignment', 'cka', 'rank', 'participation'))


def test_activity_unit_by_unit(probing, wide):
  w0 = {'kernel': rng.normal(size=(3, 6)), 'bias': np.array([0, 0, 0, 0, -99.0, -99.0])}
  w = {'kernel': w0['kernel'] + rng.normal(size=(3, 6)), 'bias': np.array([0, 0, 0, 99.0, -99.0, 0])}
  readout = {'kernel': np.ones((6, 3)), 'bias': np.zeros(3)}
  batch, model = Batch(jnp.asarray(FLOATS), jnp.asarray(LABELS)), network.from_flax(models.mlp(3, widths=(6,)), FLOATS)
  now, start = ({'input': jax.tree.map(jnp.asarray, tree), 'readout': readout} for tree in (w, w0))
  (out,) = probing.read(probes.activity(), probing.view(model, now, batch, initial=start))
  on = lambda tree: [[x @ tree['kernel'][:, unit] + tree['bias'][unit] > 0 for unit in range(6)] for x in FLOATS]
  is_on, was_on = np.array(on(w)), np.array(on(w0))
  dead = np.mean([not any(is_on[:, unit]) for unit in range(6)])
  assert 0 < dead < 1
  for name, share in (('dead', dead), ('active', is_on.mean()), ('changed', np.mean(is_on != was_on))):
    close(out[name], share, rtol=1e-6)
    assert out[name] == out[f'{name}_of']['after_input']


# ---- neural collapse --------------------------------------------------------------------------------------------


@pytest.fixture
def show(probing):
  """Features (n, h) as inputs, and a classifier w (h, k)."""

  def read(h, w, y):
    apply = lambda variables, x: (x @ variables['params']['w'], {'after_input': x})
    view = probing.view(apply, {'w': jnp.asarray(w)}, Batch(jnp.asarray(h), jnp.asarray(y)))
    return probing.read(probes.neural_collapse(), view)[0]

  return read


@pytest.mark.parametrize('width', [9, 2], ids=['wide', 'narrow'])
def test_neural_collapse_class_by_class(show, wide, width):
  """Three classes of five have examples, in unequal numbers."""
  y = np.array([0, 0, 0, 1, 1, 4, 4, 4, 4, 1, 0], np.int32)
  h, w = rng.normal(size=(11, width)) + rng.normal(size=(5, width))[y], rng.normal(size=(width, 5))
  there = [0, 1, 4]
  centres = {c: h[y == c].mean(axis=0) for c in there}
  middle = np.mean(list(centres.values()), axis=0)
  means = np.array([centres[c] - middle for c in there])
  residuals = np.array([x - centres[c] for x, c in zip(h, y, strict=True)])
  within, between = residuals.T @ residuals / 11, means.T @ means / 3
  out = show(h, w, y)
  close(out['within'], np.trace(within @ np.linalg.pinv(between, rcond=1e-10)) / 3)
  lengths = np.linalg.norm(means, axis=1)
  close(out['equinorm'], lengths.std() / lengths.mean())
  cosines = np.array([cosine(means[a], means[b]) for a in range(3) for b in range(3) if a != b])
  close(out['equiangular'], cosines.std())
  close(out['simplex'], np.mean(np.abs(cosines + 1 / 2)))
  placed = np.zeros((5, width))
  placed[there] = means
  close(out['duality'], np.linalg.norm(w.T / np.linalg.norm(w) - placed / np.linalg.norm(placed)))
  nearest = [min(there, key=lambda c: np.linalg.norm(x - centres[c])) for x in h]
  close(out['nearest'], np.mean(nearest == (h @ w).argmax(1)), rtol=1e-6)


def test_neural_collapse_of_a_simplex_and_of_data_without_classes(show, wide):
  simplex = np.eye(4) - 1 / 4
  y = np.array([0, 1, 2, 3] * 3, np.int32)
  out = show(simplex[y] + 7.0, 3 * simplex, y)
  assert out.pop('nearest') == 1
  assert max(out.values()) < 1e-7
  assert np.isnan(show(simplex[y], np.ones((4, 1)), y % 2)['duality'])  # a single output has no row a class
  assert all(np.isnan(value) for value in show(simplex[y], simplex, np.zeros(12, np.int32)).values())
  with pytest.raises(ValueError, match=r'neural_collapse needs labels \(12,\), one an example, but the targets are float64'):
    show(simplex[y], simplex, simplex[y])


# ---- weights and outputs ----------------------------------------------------------------------------------------


def test_weights_against_singular_values_and_entry_by_entry(probing, wide):
  w, w0 = ({'a': rng.normal(size=(5, 3)), 'b': rng.normal(size=4), 'c': rng.normal(size=(2, 3, 4))} for _ in range(2))
  w0['b'][:2] = 0
  view = probing.view(lambda v, x: x, w, initial=w0)
  (out,) = probing.read(probes.weight_matrices(), view)
  flips = {name: [a * b < 0 for a, b in zip(w[name].ravel(), w0[name].ravel(), strict=True)] for name in w}
  close(out['flipped'], np.mean(np.concatenate(list(flips.values()))), rtol=1e-6)
  for name in w:
    close(out['flipped_of'][name], np.mean(flips[name]), rtol=1e-6)
  assert set(out['rank_of']) == {'a', 'c'}
  for name, shape in (('a', (5, 3)), ('c', (6, 4))):
    for prefix, v in (('', w[name]), ('change_', w[name] - w0[name])):
      values = np.linalg.svd(v.reshape(shape), compute_uv=False)
      close(out[f'{prefix}spectral_of'][name], values[0])
      close(out[f'{prefix}rank_of'][name], entropy_rank(values**2))
      close(out[f'{prefix}stable_rank_of'][name], np.sum(values**2) / values[0] ** 2)
    assert out['change_numerical_rank_of'][name] == np.linalg.matrix_rank((w[name] - w0[name]).reshape(shape))
  assert set(probing.read(probes.weight_matrices(spectra=False), view)[0]) == {'flipped', 'flipped_of'}


def test_predictions_are_the_outputs_on_the_first_test_examples(probing, scene, wide):
  view = scene('values')[2]
  (out,) = probing.read(probes.predictions(examples=4), view)
  close(out['outputs'], apply(view, view.data.test.x)[:4])


# ---- what cannot be read ----------------------------------------------------------------------------------------

MAKERS = ('kernel', 'kernel_regression', 'linearisation', 'representation', 'activity', 'neural_collapse', 'weight_matrices')


@pytest.mark.parametrize('maker', MAKERS)
def test_weights_that_are_nan_are_read_as_nan(scene, readings, wide, maker):
  start, _, last = scene('mlp')
  broken = last._replace(variables={**last.variables, 'params': jax.tree.map(lambda w: w * jnp.nan, last.variables['params'])})
  out = trees.by_path(readings(maker, 'mlp', [start, broken])[1])
  spoiled = {path: leaf for path, leaf in out.items() if 'accuracy' not in path and 'initial' not in path}
  assert all(np.all(np.isnan(leaf)) for leaf in spoiled.values()), spoiled
  assert all(leaf == 0 for path, leaf in out.items() if 'accuracy' in path and 'initial' not in path)


@pytest.mark.parametrize('maker', ['representation', 'activity', 'neural_collapse'])
def test_a_model_without_hidden_features_is_refused(probing, maker):
  view = probing.view(lambda variables, x: x @ variables['params']['w'], {'w': jnp.ones((1, 2))},
                      Batch(jnp.ones((2, 1)), jnp.zeros(2, jnp.int32)))  # fmt: skip
  with pytest.raises(ValueError, match='shows no hidden features, which this probe reads; give it a hidden layer'):
    getattr(probes, maker)().init(view)


@pytest.mark.parametrize('maker', ['kernel', 'kernel_regression', 'representation', 'neural_collapse'])
def test_what_compares_examples_is_refused_a_single_one(probing, scene, maker):
  view = scene('mlp')[0]
  single = view._replace(data=view.data._replace(train=jax.tree.map(lambda x: x[:1], view.data.train)))
  with pytest.raises(ValueError, match='needs 2 examples or more cannot read 1'):
    getattr(probes, maker)().init(single)
