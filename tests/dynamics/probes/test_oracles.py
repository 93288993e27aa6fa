"""Every probe against a slow and obvious second implementation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import data, inits, losses, models, optim, probes, train, trees
from dynamics.data.sampling import sampler
from dynamics.problem import supervised
from dynamics.study import Study
from dynamics.types import Batch, Data, View

rng = np.random.default_rng(3)
LOGITS = lambda variables, x, train=False: x  # the examples are their own outputs


def reading(probe, params, data: Batch, *, test=None, anchor=None):
  view = View(jnp.int32(0), {'params': params}, {'params': anchor}, (), {}, Data(data, data if test is None else test))
  return jax.jit(lambda v: probe.measure(v, probe.init(v), jax.random.key(0))[0])(view)


def vector(tree):
  return np.concatenate([np.ravel(x).astype(np.float64) for x in jax.tree.leaves(tree)])


# ---- performance ------------------------------------------------------------------------------------------------


def test_performance_against_numpy_and_a_row_with_nan_is_wrong():
  z, y = rng.normal(size=(9, 4)).astype(np.float32), np.arange(9, dtype=np.int32) % 4
  z[2, y[2]] = 9.0  # right
  spoiled = z.copy()
  spoiled[2, (y[2] + 1) % 4] = np.nan
  loss = losses.cross_entropy()
  out = reading(probes.performance(LOGITS, loss), {}, Batch(z, y), test=Batch(spoiled, y))
  wide = z.astype(np.float64)
  each, hits = np.log(np.exp(wide).sum(1)) - wide[np.arange(9), y], wide.argmax(1) == y
  for name, sample in (('loss', each), ('accuracy', hits)):
    np.testing.assert_allclose(out[f'train_{name}'], sample.mean(), rtol=1e-5)
    np.testing.assert_allclose(out[f'train_{name}_se'], sample.std(ddof=1) / 3, rtol=1e-5)
  np.testing.assert_allclose(out['test_accuracy'], (hits.sum() - 1) / 9, rtol=1e-6)
  assert np.isnan(out['test_loss'])
  assert np.isnan(out['test_loss_se'])


# ---- distance and norms -----------------------------------------------------------------------------------------


def test_distance_and_norms_against_numpy_whole_and_leaf_by_leaf():
  w, w0 = ({'a': {'kernel': rng.normal(size=(4, 3))}, 'b': rng.normal(size=5), 'c': rng.normal(size=2)} for _ in range(2))
  w0['c'] = np.zeros(2)
  cast = lambda tree: jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), tree)
  nothing = Batch(jnp.zeros((1, 1)), jnp.zeros(1, jnp.int32))
  gone = reading(probes.distance(LOGITS, None), cast(w), nothing, anchor=cast(w0))
  size = reading(probes.norms(LOGITS, None), cast(w), nothing)
  pieces = {'': (vector(w), vector(w0))} | {p: (vector(_at(w, p)), vector(_at(w0, p))) for p in ('a/kernel', 'b', 'c')}
  for path, (v, v0) in pieces.items():
    at = lambda out, name, path=path: out[f'{name}_of'][path] if path else out[name]
    norm, norm0, apart = np.linalg.norm(v), np.linalg.norm(v0), np.linalg.norm(v - v0)
    np.testing.assert_allclose(at(gone, 'distance'), apart, rtol=1e-5)
    np.testing.assert_allclose(at(gone, 'relative'), apart / norm0 if norm0 else np.inf, rtol=1e-5)
    np.testing.assert_allclose(at(gone, 'cosine'), v @ v0 / norm / norm0 if norm0 else np.nan, rtol=1e-4)
    np.testing.assert_allclose(at(size, 'norm'), norm, rtol=1e-6)
    np.testing.assert_allclose(at(size, 'rms'), np.sqrt(np.mean(v**2)), rtol=1e-6)
  for probe, params in ((probes.distance, w), (probes.norms, w)):
    short = reading(probe(LOGITS, None, leaves=False), cast(params), nothing, anchor=cast(w0))
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
def test_collapse_on_both_sides_of_the_threshold_of_absorption(wide, dtype):
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
  out = reading(probes.collapse(LOGITS, losses.cross_entropy(dtype=dtype)), {}, Batch(jnp.asarray(z), jnp.asarray(y)))
  np.testing.assert_allclose(out['zero_loss'], np.mean(zero), rtol=1e-6)
  # The true class's own gradient is its rounded probability minus 1; the others keep theirs, which do not underflow.
  np.testing.assert_allclose(out['zero_target_gradient'], np.mean(zero), rtol=1e-6)
  top = np.sort(z, axis=1)
  np.testing.assert_allclose(out['logit_gap'], (top[:, -1] - top[:, -2]).max(), rtol=1e-6)


def test_collapse_counts_random_logits_as_the_oracle_does():
  z, y = (rng.normal(size=(400, 6)) * 12).astype(np.float32), rng.integers(0, 6, 400).astype(np.int32)
  z[:200] = np.round(z[:200])
  y[:300] = z[:300].argmax(1)
  for dtype in ('float16', 'float32'):
    out = reading(probes.collapse(LOGITS, losses.cross_entropy(dtype=dtype)), {}, Batch(jnp.asarray(z), jnp.asarray(y)))
    expected = np.mean([silent(row, label, dtype) for row, label in zip(z, y, strict=True)])
    assert 0.05 < expected < 0.95
    assert abs(float(out['zero_loss']) - expected) <= 1.5 / 400  # exp may differ by one unit of roundoff


def test_collapse_of_losses_with_one_output_or_float_targets():
  z, y = jnp.asarray([[2.0], [0.5], [-3.0], [1.0]]), jnp.asarray([1, 1, 0, 0], jnp.int32)
  out = reading(probes.collapse(LOGITS, losses.hinge()), {}, Batch(z, y))
  assert {k: float(v) for k, v in out.items()} == {
    'zero_loss': 0.5, 'zero_gradient': 0.5, 'zero_target_gradient': 0.5, 'logit_gap': 3.0,
  }  # fmt: skip
  t = jnp.asarray([[1.0, 0.0], [0.0, 2.0]])
  out = reading(probes.collapse(LOGITS, losses.mean_squared_error()), {}, Batch(jnp.asarray([[1.0, 0.0], [1.0, 2.0]]), t))
  assert {k: float(v) for k, v in out.items()} == {
    'zero_loss': 0.5, 'zero_gradient': 0.5, 'zero_target_gradient': 1.0, 'logit_gap': 1.0,
  }  # fmt: skip


# ---- alignment --------------------------------------------------------------------------------------------------


def relu_net(variables, x, train=False):
  w = variables['params']
  return jax.nn.relu(x @ w['a']) @ w['b']


def test_alignment_against_a_dense_jacobian(wide):
  x, y = rng.normal(size=(8, 3)), rng.integers(0, 4, 8).astype(np.int32)
  w = {'a': rng.normal(size=(3, 5)), 'b': rng.normal(size=(5, 4))}
  forward = lambda w: np.maximum(x @ w['a'], 0) @ w['b']
  cost = lambda z: np.mean(np.log(np.exp(z).sum(1)) - z[np.arange(8), y])
  jacobian = jax.tree.map(np.asarray, jax.jacobian(lambda w: relu_net({'params': w}, jnp.asarray(x)))(w))  # (n, k, ...)
  z = forward(w)
  error = (np.exp(z) / np.exp(z).sum(1, keepdims=True) - np.eye(4)[y]) / 8  # (n, k)
  descent = {name: -np.tensordot(error, j, axes=((0, 1), (0, 1))) for name, j in jacobian.items()}
  stretched = forward({name: 1.25 * v for name, v in w.items()})

  probe = probes.alignment(relu_net, losses.cross_entropy(dtype='float64'), stretch=0.25)
  out = reading(probe, jax.tree.map(jnp.asarray, w), Batch(jnp.asarray(x), jnp.asarray(y)))
  cosine = lambda a, b: a @ b / np.linalg.norm(a) / np.linalg.norm(b)
  np.testing.assert_allclose(out['cosine'], cosine(vector(descent), vector(w)), rtol=1e-9)
  for name in w:
    np.testing.assert_allclose(out['cosine_of'][name], cosine(vector(descent[name]), vector(w[name])), rtol=1e-9)
  np.testing.assert_allclose(out['loss_change'], cost(stretched) - cost(z), rtol=1e-9)
  assert out['unchanged'] == 1  # homogeneous: f(c w) = c^2 f(w)


def test_a_network_without_biases_is_homogeneous_and_one_with_biases_changes_its_mind(cases):
  """At c = 2 the scaling f(c w) = c^L f(w) is exact in floating point."""
  some, (state, _, _, data, _) = cases.case('tokens'), cases.member('tokens')
  params = state.variables['params']
  outputs = some.problem.apply({'params': params}, data.train.x)
  doubled = some.problem.apply({'params': jax.tree.map(lambda w: 2 * w, params)}, data.train.x)
  np.testing.assert_array_equal(doubled, 4 * outputs)
  loss = losses.cross_entropy()
  assert reading(probes.alignment(some.problem.apply, loss, stretch=0.5), params, data.train)['unchanged'] == 1
  # x w + b with b against w: growth of both keeps the sign, but growth of a two-layer product beside one bias does not.
  biased = lambda v, x, train=False: x @ (v['params']['u'] * v['params']['w']) + v['params']['b']
  w = {'u': jnp.ones((1, 2)), 'w': jnp.asarray([[1.0, 0.0]]), 'b': jnp.asarray([[0.0, 1.2]])}
  batch = Batch(jnp.asarray([[1.0], [2.0]]), jnp.zeros(2, jnp.int32))
  assert reading(probes.alignment(biased, loss, stretch=0.5), w, batch)['unchanged'] == 0.5


# ---- meters -----------------------------------------------------------------------------------------------------


def test_meters_against_a_python_loop_over_single_steps(cases):
  steps, times = 7, (0, 3, 7)
  study = cases.study('linear', ('meters',), steps=steps, times=times)
  table = train.run(study, (4,), {'lr': 0.05}).tables['meters']
  problem, data, hyper = study.problem, cases.case('linear').draws, {'lr': jnp.float32(0.05)}
  optimizer = study.optimizer({'lr': 0.05})
  variables = train.start(study)(train.join((4,), {}).keys[0], hyper, data).variables
  opt_state, log = optimizer.init(variables['params']), []
  for _ in range(steps):
    (loss, _), grads = jax.value_and_grad(problem.loss, has_aux=True)(variables, data.train, hyper)
    updates, opt_state = optimizer.update(grads['params'], opt_state, variables['params'])
    variables = {'params': jax.tree.map(jnp.add, variables['params'], updates)}
    log.append([float(loss), np.linalg.norm(vector(grads)), np.linalg.norm(vector(updates))])
  log = np.array(log)
  for row, (first, last) in enumerate([(0, 0), (0, 3), (3, 7)]):
    for i, name in enumerate(('loss', 'gradient_norm', 'update_norm')):
      some = log[first:last, i] if last else np.full(1, np.nan)
      shown = [table[f'{name}/{statistic}'][row, 0] for statistic in ('mean', 'largest', 'last')]
      np.testing.assert_allclose(shown, [some.mean(), some.max(), some[-1]], rtol=1e-5)
    np.testing.assert_allclose(table['path_length'][row, 0], log[:last, 2].sum(), rtol=1e-5)


# ---- residuals --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('name', ['cross_entropy', 'mean_squared_error'])
def test_residuals_against_finite_differences(wide, name):
  z = rng.normal(size=(6, 3))
  y = np.arange(6, dtype=np.int32) % 3 if name == 'cross_entropy' else rng.normal(size=(6, 3))
  loss = getattr(losses, name)(dtype='float64')
  cost = lambda z: float(np.sum(loss(jnp.asarray(z), jnp.asarray(y))))
  out = reading(probes.residuals(LOGITS, loss, examples=4), {}, Batch(jnp.asarray(z), jnp.asarray(y)))['residual']
  step, expected = 1e-6, np.zeros((4, 3))
  for i in np.ndindex(4, 3):
    moved = np.zeros((6, 3))
    moved[i] = step
    expected[i] = (cost(z + moved) - cost(z - moved)) / (2 * step)
  np.testing.assert_allclose(out, expected, atol=1e-8)


# ---- rest and signal --------------------------------------------------------------------------------------------


def test_rest_is_the_last_step_that_moved_a_weight():
  """A perceptron with minibatches: fitted batches move nothing, the last one that does ends training for good."""
  task = data.perceptron(inputs=3, train=12, test=4)
  x = jax.ShapeDtypeStruct((1, 3), jnp.float32)
  problem = supervised(models.linear(outputs=1), x, losses.hinge(), init=inits.independent(inits.gaussian), batch=sampler(size=2))
  probe, optimizer, steps = probes.rest(problem.apply, losses.hinge()), optim.optimizer(optim.sgd), 600
  study = Study(problem, optimizer, task.draw, {'rest': probe}, {'rest': (0, 5, steps)}, steps)
  seed = 3
  result = train.run(study, (seed,), {'lr': 0.5})
  key = train.join((seed,), {}).keys[0]
  drawn = task.draw(trees.named_key(train.seed_key(0), 'data'), {})
  w = np.asarray(problem.init(trees.named_key(key, 'init'), {})['params']['readout']['kernel'])
  draws, moved = trees.named_key(key, 'batch'), []
  choose = jax.jit(lambda t: problem.batch(draws, drawn, t))
  for t in range(steps):
    rows, labels = (np.asarray(a) for a in choose(jnp.int32(t)))
    signs = 2 * labels - 1
    unfitted = signs * (rows @ w)[:, 0] < 1
    w = w + 0.5 * ((unfitted * signs) @ rows)[:, None] / 2
    moved += [t + 1] if unfitted.any() else []
  signs = 2 * np.asarray(drawn.train.y) - 1
  assert (signs * (np.asarray(drawn.train.x) @ w)[:, 0] >= 1).all(), 'the case is too short to be of use'
  assert 5 < moved[-1] < steps - 12
  np.testing.assert_array_equal(result.tables['rest']['rested'][:, 0], [0, max(m for m in moved if m <= 5), moved[-1]])
  np.testing.assert_array_equal(result.tables['rest']['moved'][:, 0], [0, sum(m <= 5 for m in moved), len(moved)])


def test_signal_against_numpy_for_one_layer_and_for_the_first_of_three():
  kernels = [rng.normal(size=shape) for shape in ((5, 1), (5, 4), (4, 6), (6, 1))]
  one = {'readout': {'kernel': kernels[0]}}
  three = dict(zip(('input', 'hidden_1', 'readout'), ({'kernel': k} for k in kernels[1:]), strict=True))
  nothing = Batch(jnp.zeros((1, 1)), jnp.zeros(1, jnp.int32))
  for params, kernel, inputs in ((one, kernels[0], 1), (three, kernels[1], 1), (three, kernels[1], 2)):
    some = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), params)
    out = reading(probes.signal(LOGITS, None, inputs=inputs), some, nothing)
    np.testing.assert_allclose(out['along'], np.linalg.norm(kernel[:inputs]), rtol=1e-5)
    np.testing.assert_allclose(out['across'], np.linalg.norm(kernel[inputs:]), rtol=1e-5)
