"""Every probe against a slow and obvious second implementation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import data, losses, models, network, objectives, optim, probes, stages, train, trees
from dynamics.data.sampling import sampler
from dynamics.study import Study
from dynamics.types import Batch, Problem

rng = np.random.default_rng(3)
LOGITS = lambda variables, x: x  # the examples are their own outputs


@pytest.fixture
def reading(probing):
  return lambda probe, params, examples=None, *, apply=LOGITS, **fields: probing.read(
    probe, probing.view(apply, params, examples, **fields)
  )[0]


def vector(tree):
  return np.concatenate([np.ravel(x).astype(np.float64) for x in jax.tree.leaves(tree)])


# ---- performance ------------------------------------------------------------------------------------------------


def test_performance_against_numpy_and_a_row_with_nan_is_wrong(reading):
  z, y = rng.normal(size=(9, 4)).astype(np.float32), np.arange(9, dtype=np.int32) % 4
  z[2, y[2]] = 9.0  # right
  spoiled = z.copy()
  spoiled[2, (y[2] + 1) % 4] = np.nan
  out = reading(probes.performance(), {}, Batch(z, y), test=Batch(spoiled, y), loss=losses.cross_entropy())
  wide = z.astype(np.float64)
  values, hits = np.log(np.exp(wide).sum(1)) - wide[np.arange(9), y], wide.argmax(1) == y
  for name, sample in (('loss', values), ('accuracy', hits)):
    np.testing.assert_allclose(out[f'train_{name}'], sample.mean(), rtol=1e-5)
    np.testing.assert_allclose(out[f'train_{name}_se'], sample.std(ddof=1) / 3, rtol=1e-5)
  np.testing.assert_allclose(out['test_accuracy'], (hits.sum() - 1) / 9, rtol=1e-6)
  assert np.isnan(out['test_loss'])
  assert np.isnan(out['test_loss_se'])


def test_performance_over_tokens_leaves_padding_out_and_takes_sequences_as_clusters(reading):
  """Means over tokens; the errors are those of the jackknife over sequences to first order, here the delta method by numpy."""
  z, y = rng.normal(size=(7, 5, 4)).astype(np.float32), rng.integers(0, 4, (7, 5)).astype(np.int32)
  y[1, 2:], y[4, :], y[6, 3:] = -1, -1, -1
  z[1, 3] = np.nan  # at a padded position
  out = reading(probes.performance(), {}, Batch(z, y), test=Batch(z[:1], y[:1]), loss=losses.cross_entropy())
  wide = z.astype(np.float64)
  sums, counts = {'loss': np.zeros(7), 'accuracy': np.zeros(7)}, np.zeros(7)
  for i, j in np.argwhere(y >= 0):
    sums['loss'][i] += np.log(np.exp(wide[i, j]).sum()) - wide[i, j, y[i, j]]
    sums['accuracy'][i] += wide[i, j].argmax() == y[i, j]
    counts[i] += 1
  for name, total in sums.items():
    ratio = total.mean() / counts.mean()
    np.testing.assert_allclose(out[f'train_{name}'], total.sum() / counts.sum(), rtol=1e-5)
    slope = np.array([1, -ratio]) / counts.mean()  # of a / b in the means a and b
    error = np.sqrt(slope @ np.cov([total, counts]) @ slope / 7)
    np.testing.assert_allclose(out[f'train_{name}_se'], error, rtol=1e-4)
    assert np.isnan(out[f'test_{name}_se']), 'a single sequence'
  with pytest.raises(ValueError, match=r'need labels \(7, 5\), but the targets are int32\(7,\)'):
    reading(probes.performance(), {}, Batch(z, y[:, 0]), loss=losses.cross_entropy())


# ---- distance and norms -----------------------------------------------------------------------------------------


def test_distance_and_norms_against_numpy_whole_and_leaf_by_leaf(reading):
  w, w0 = ({'a': {'kernel': rng.normal(size=(4, 3))}, 'b': rng.normal(size=5), 'c': rng.normal(size=2)} for _ in range(2))
  w0['c'] = np.zeros(2)
  cast = lambda tree: jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), tree)
  moved = reading(probes.distance(), cast(w), initial=cast(w0))
  size = reading(probes.norms(), cast(w))
  pieces = {'': (vector(w), vector(w0))} | {p: (vector(_at(w, p)), vector(_at(w0, p))) for p in ('a/kernel', 'b', 'c')}
  for path, (v, v0) in pieces.items():
    at = lambda out, name, path=path: out[f'{name}_of'][path] if path else out[name]
    norm, norm0, apart = np.linalg.norm(v), np.linalg.norm(v0), np.linalg.norm(v - v0)
    np.testing.assert_allclose(at(moved, 'distance'), apart, rtol=1e-5)
    np.testing.assert_allclose(at(moved, 'relative'), apart / norm0 if norm0 else np.inf, rtol=1e-5)
    np.testing.assert_allclose(at(moved, 'cosine'), v @ v0 / norm / norm0 if norm0 else np.nan, rtol=1e-4)
    np.testing.assert_allclose(at(size, 'norm'), norm, rtol=1e-6)
    np.testing.assert_allclose(at(size, 'rms'), np.sqrt(np.mean(v**2)), rtol=1e-6)
  for probe in (probes.distance, probes.norms):
    short = reading(probe(leaves=False), cast(w), initial=cast(w0))
    assert not any(name.endswith('_of') for name in short)


def _at(tree, path):
  for name in path.split('/'):
    tree = tree[name]
  return tree


# ---- collapse ---------------------------------------------------------------------------------------------------


def silent(z, y, dtype):
  """Softmax cross-entropy of one example, one operation after the other, each rounded to `dtype`."""
  kind = np.dtype(jnp.dtype(dtype))
  z = z.astype(kind)
  shifted = (z - z.max()).astype(kind)
  total = kind.type(0)
  for term in np.exp(shifted):
    total = kind.type(total + term)
  return kind.type(np.log(total) - shifted[y]) == 0


@pytest.mark.parametrize('dtype', ['float16', 'bfloat16', 'float32', 'float64'])
def test_collapse_on_both_sides_of_the_threshold_of_absorption(reading, wide, dtype):
  """The other exponentials vanish beside 1 one by one, where each is below eps / 2, whatever their sum."""
  edge, k = float(jnp.finfo(dtype).eps) / 2, 10
  rows, labels, zero = [], [], []
  for share, count, place, gone in (
    (0.9, 1, 0, True),  # one other class, just too small
    (1.1, 1, 0, False),  # just large enough
    (1.1, 1, k - 1, False),
    (0.9, 1, k - 1, True),
    (0.4, k - 1, 0, True),  # nine that together make 3.6 eps / 2 but each comes after the 1
    (0.4, k - 1, k - 1, False),  # the same nine, added up before the 1
  ):
    others = [np.log(share * edge)] * count + [-1e3] * (k - 1 - count)
    rows.append([*others[:place], 0.0, *others[place:]])
    labels.append(place)
    zero.append(gone)
  z, y = np.array(rows), np.array(labels, np.int32)
  assert [bool(silent(row, label, dtype)) for row, label in zip(z, y, strict=True)] == zero, 'the oracle is not as constructed'
  out = reading(probes.collapse(), {}, Batch(jnp.asarray(z), jnp.asarray(y)), loss=losses.cross_entropy(dtype=dtype))
  np.testing.assert_allclose(out['zero_loss'], np.mean(zero), rtol=1e-6)
  # The true class's own gradient is its rounded probability minus 1; the others keep theirs, which do not underflow.
  np.testing.assert_allclose(out['zero_target_gradient'], np.mean(zero), rtol=1e-6)
  top = np.sort(z, axis=1)
  np.testing.assert_allclose(out['logit_gap'], (top[:, -1] - top[:, -2]).max(), rtol=1e-6)


def test_collapse_counts_random_logits_as_the_oracle_does(reading):
  z, y = (rng.normal(size=(400, 6)) * 12).astype(np.float32), rng.integers(0, 6, 400).astype(np.int32)
  z[:200] = np.round(z[:200])
  y[:300] = z[:300].argmax(1)
  for dtype in ('float16', 'float32'):
    out = reading(probes.collapse(), {}, Batch(jnp.asarray(z), jnp.asarray(y)), loss=losses.cross_entropy(dtype=dtype))
    expected = np.mean([silent(row, label, dtype) for row, label in zip(z, y, strict=True)])
    assert 0.05 < expected < 0.95
    assert abs(float(out['zero_loss']) - expected) <= 1.5 / 400  # exp may differ by one unit of roundoff


def test_collapse_of_losses_with_one_output_or_float_targets(reading):
  z, y = jnp.asarray([[2.0], [0.5], [-3.0], [1.0]]), jnp.asarray([1, 1, 0, 0], jnp.int32)
  out = reading(probes.collapse(), {}, Batch(z, y), loss=losses.hinge())
  assert {k: float(v) for k, v in out.items()} == {
    'zero_loss': 0.5, 'zero_gradient': 0.5, 'zero_target_gradient': 0.5, 'logit_gap': 3.0,
  }  # fmt: skip
  t = jnp.asarray([[1.0, 0.0], [0.0, 2.0]])
  out = reading(probes.collapse(), {}, Batch(jnp.asarray([[1.0, 0.0], [1.0, 2.0]]), t), loss=losses.mean_squared_error())
  assert {k: float(v) for k, v in out.items()} == {
    'zero_loss': 0.5, 'zero_gradient': 0.5, 'zero_target_gradient': 1.0, 'logit_gap': 1.0,
  }  # fmt: skip


# ---- alignment --------------------------------------------------------------------------------------------------


def relu_net(variables, x):
  w = variables['params']
  return jax.nn.relu(x @ w['a']) @ w['b']


def test_alignment_against_a_dense_jacobian(reading, wide):
  x, y = rng.normal(size=(8, 3)), rng.integers(0, 4, 8).astype(np.int32)
  w = {'a': rng.normal(size=(3, 5)), 'b': rng.normal(size=(5, 4))}
  forward = lambda w: np.maximum(x @ w['a'], 0) @ w['b']
  cost = lambda z: np.mean(np.log(np.exp(z).sum(1)) - z[np.arange(8), y])
  jacobian = jax.tree.map(np.asarray, jax.jacobian(lambda w: relu_net({'params': w}, jnp.asarray(x)))(w))  # (n, k, ...)
  z = forward(w)
  error = (np.exp(z) / np.exp(z).sum(1, keepdims=True) - np.eye(4)[y]) / 8  # (n, k)
  descent = {name: -np.tensordot(error, j, axes=((0, 1), (0, 1))) for name, j in jacobian.items()}
  stretched = forward({name: 1.25 * v for name, v in w.items()})

  probe, loss = probes.alignment(stretch=0.25), losses.cross_entropy(dtype='float64')
  out = reading(probe, jax.tree.map(jnp.asarray, w), Batch(jnp.asarray(x), jnp.asarray(y)), apply=relu_net, loss=loss)
  cosine = lambda a, b: a @ b / np.linalg.norm(a) / np.linalg.norm(b)
  np.testing.assert_allclose(out['cosine'], cosine(vector(descent), vector(w)), rtol=1e-9)
  for name in w:
    np.testing.assert_allclose(out['cosine_of'][name], cosine(vector(descent[name]), vector(w[name])), rtol=1e-9)
  np.testing.assert_allclose(out['loss_change'], cost(stretched) - cost(z), rtol=1e-9)
  assert out['unchanged'] == 1  # homogeneous: f(c w) = c^2 f(w)


def test_a_network_without_biases_is_homogeneous_and_one_with_biases_changes_its_mind(cases, reading):
  """At c = 2 the scaling f(c w) = c^L f(w) is exact in floating point."""
  case, loss, probe = cases.case('tokens'), losses.cross_entropy(), probes.alignment(stretch=0.5)
  variables = jax.jit(case.model.init)(jax.random.key(3), case.draws)
  forward = jax.jit(case.model.apply)
  doubled = forward({'params': jax.tree.map(lambda w: 2 * w, variables['params'])}, case.draws.train.x)
  np.testing.assert_array_equal(doubled, 4 * forward(variables, case.draws.train.x))
  assert reading(probe, variables['params'], case.draws.train, apply=case.model, loss=loss)['unchanged'] == 1
  # x w + b with b against w: growth of both keeps the sign, but growth of a two-layer product beside one bias does not.
  biased = lambda v, x: x @ (v['params']['u'] * v['params']['w']) + v['params']['b']
  w = {'u': jnp.ones((1, 2)), 'w': jnp.asarray([[1.0, 0.0]]), 'b': jnp.asarray([[0.0, 1.2]])}
  batch = Batch(jnp.asarray([[1.0], [2.0]]), jnp.zeros(2, jnp.int32))
  assert reading(probe, w, batch, apply=biased, loss=loss)['unchanged'] == 0.5


# ---- meters -----------------------------------------------------------------------------------------------------


def test_meters_against_a_python_loop_over_single_steps(cases):
  steps, times = 7, (0, 3, 7)
  study = cases.study('linear', ('meters',), steps=steps, times=times)
  table = train.run(study, (4,), {'lr': 0.05}).arrays['meters']
  problem, member = study.problem({'lr': 0.05}, None), jax.tree.map(lambda x: x[0], train.join((4,), {'lr': 0.05}))
  data = cases.case('linear').draws
  state, frozen = jax.jit(stages.start(study))(member, data)
  params, opt_state, log = state.variables['params'], state.opt_state, []

  @jax.jit
  def step(params, opt_state):
    value = lambda p: problem.objective({**frozen.initial, 'params': p}, data.train, None)[0]
    loss, grads = jax.value_and_grad(value)(params)
    updates, opt_state = problem.optimizer.update(grads, opt_state, params)
    return jax.tree.map(jnp.add, params, updates), opt_state, (loss, grads, updates)

  for _ in range(steps):
    params, opt_state, (loss, grads, updates) = step(params, opt_state)
    log.append([float(loss), np.linalg.norm(vector(grads)), np.linalg.norm(vector(updates))])
  log = np.array(log)
  for row, (first, last) in enumerate([(0, 0), (0, 3), (3, 7)]):
    for i, name in enumerate(('loss', 'gradient_norm', 'update_norm')):
      window = log[first:last, i] if last else np.full(1, np.nan)
      shown = [table[f'{name}/{statistic}'][0, row] for statistic in ('mean', 'largest', 'last')]
      np.testing.assert_allclose(shown, [window.mean(), window.max(), window[-1]], rtol=1e-5)
    np.testing.assert_allclose(table['path_length'][0, row], log[:last, 2].sum(), rtol=1e-5)


# ---- clock ------------------------------------------------------------------------------------------------------


def test_clock_is_the_step_at_which_the_rule_held(reading):
  """That this step is the right one is a test of training; here -1, a step and no rule."""
  for stopped, shown in ((jnp.int32(-1), np.inf), (jnp.int32(5), 5), ((), np.inf)):
    assert reading(probes.clock(), {}, stopped=stopped)['stopped'] == shown


# ---- residuals --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('name', ['cross_entropy', 'mean_squared_error'])
def test_residuals_against_finite_differences(reading, wide, name):
  z = rng.normal(size=(6, 3))
  y = np.arange(6, dtype=np.int32) % 3 if name == 'cross_entropy' else rng.normal(size=(6, 3))
  loss = getattr(losses, name)(dtype='float64')
  cost = lambda z: float(np.sum(loss(jnp.asarray(z), jnp.asarray(y))))
  out = reading(probes.residuals(examples=4), {}, Batch(jnp.asarray(z), jnp.asarray(y)), loss=loss)['residual']
  step, expected = 1e-6, np.zeros((4, 3))
  for i in np.ndindex(4, 3):
    moved = np.zeros((6, 3))
    moved[i] = step
    expected[i] = (cost(z + moved) - cost(z - moved)) / (2 * step)
  np.testing.assert_allclose(out, expected, atol=1e-8)


# ---- rest and signal --------------------------------------------------------------------------------------------


def test_rest_is_the_last_step_that_moved_a_weight():
  """A perceptron with minibatches: fitted batches move nothing, the last one that does ends training for good."""
  task, loss, steps, seed = data.perceptron(inputs=3, train=12, test=4), losses.hinge(), 600, 3
  model = network.from_flax(models.linear(1), jnp.zeros((1, 3)))
  objective, batch = objectives.supervised()(model, loss, None), sampler(size=2)

  def problem(hyper, source):
    return Problem(task, model, loss, objective, optim.sgd(lr=0.5), batch, probes={'rest': probes.rest()})

  result = train.run(Study(problem, steps, {'rest': (0, 5, steps)}), (seed,), {})
  key = train.join((seed,), {}).keys[0]
  drawn = task.draw(trees.named_key(train.seed_key(0), 'data'))
  w = np.asarray(model.init(trees.named_key(key, 'init'), drawn)['params']['readout']['kernel'])
  draws, moved = trees.named_key(key, 'batch'), []
  batches = jax.jit(jax.vmap(lambda t: batch(draws, drawn, t)))(jnp.arange(steps, dtype=jnp.int32))
  for t, (rows, labels) in enumerate(zip(*map(np.asarray, batches), strict=True)):
    signs = 2 * labels - 1
    unfitted = signs * (rows @ w)[:, 0] < 1
    w = w + 0.5 * ((unfitted * signs) @ rows)[:, None] / 2
    moved += [t + 1] if unfitted.any() else []
  signs = 2 * np.asarray(drawn.train.y) - 1
  assert (signs * (np.asarray(drawn.train.x) @ w)[:, 0] >= 1).all(), 'the case is too short to be of use'
  assert 5 < moved[-1] < steps - 12
  np.testing.assert_array_equal(result.arrays['rest']['rested'][0], [0, max(m for m in moved if m <= 5), moved[-1]])
  np.testing.assert_array_equal(result.arrays['rest']['moved'][0], [0, sum(m <= 5 for m in moved), len(moved)])


def test_signal_against_numpy_for_one_layer_and_for_the_first_of_three(reading):
  kernels = [rng.normal(size=shape) for shape in ((5, 1), (5, 4), (4, 6), (6, 1))]
  perceptron = {'readout': {'kernel': kernels[0]}}
  chain = dict(zip(('hidden_0', 'hidden_1', 'readout'), ({'kernel': k} for k in kernels[1:]), strict=True))
  for params, kernel, inputs in ((perceptron, kernels[0], 1), (chain, kernels[1], 1), (chain, kernels[1], 2)):
    out = reading(probes.signal(inputs=inputs), jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), params))
    np.testing.assert_allclose(out['along'], np.linalg.norm(kernel[:inputs]), rtol=1e-5)
    np.testing.assert_allclose(out['across'], np.linalg.norm(kernel[inputs:]), rtol=1e-5)
