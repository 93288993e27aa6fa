"""Objectives against numpy in float64: what counts, what does not, and what is random."""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import inits, losses, models, network, objectives, parallel, probes, train, types
from dynamics.components import Part, component
from dynamics.schema import Traced
from dynamics.types import Aux, Batch, Data

KEY = jax.random.key(0, impl='threefry2x32')
rng = np.random.default_rng(4)
X, Y = rng.normal(size=(12, 4)).astype(np.float32), (np.arange(12) % 3).astype(np.int32)
DATA = Data(Batch(jnp.asarray(X), jnp.asarray(Y)), Batch(jnp.asarray(X + 1), jnp.asarray(Y)))
LOSS = losses.cross_entropy()


@pytest.fixture(scope='module')
def model():
  return network.initialised(network.from_flax(models.mlp(3, widths=(5,), activation='tanh'), X), inits.gaussian())


def log_softmax(z):
  z = np.asarray(z, np.float64)
  return z - np.log(np.exp(z).sum(-1, keepdims=True))


def test_supervised_is_the_mean_of_the_losses_and_shows_its_parts(model):
  variables = model.init(KEY, DATA)
  value, aux = jax.jit(objectives.supervised()(model, LOSS, None))(variables, DATA.train, KEY)
  outputs = np.asarray(model.apply(variables, X))
  expected = -log_softmax(outputs)[np.arange(12), Y]
  np.testing.assert_allclose(aux.outputs, outputs, rtol=1e-5, atol=1e-6)
  np.testing.assert_allclose(aux.losses, expected, rtol=1e-5)
  np.testing.assert_allclose(value, expected.mean(), rtol=1e-5)
  assert aux.mutated == {}


def test_squares_of_targets_in_a_column_fit_the_plane_that_made_them(cases):
  """y = 10 + 9 a - 2 b: in a column it is fitted, in a row it is refused."""
  x = jnp.asarray(rng.uniform(size=(40, 2)), jnp.float32)
  y = 10 + 9 * x[:, :1] - 2 * x[:, 1:]
  dense, loss = network.from_flax(nn.Dense(1), x), losses.mean_squared_error()
  done = train.run(cases.study_of(dense, Data(*(Batch(x, y),) * 2), loss, 4000), (0,), {'lr': 0.5})
  fitted = done.state.variables['params']
  np.testing.assert_allclose(fitted['kernel'][0, :, 0], [9, -2], atol=1e-3)
  np.testing.assert_allclose(fitted['bias'][0], [10], atol=1e-3)
  with pytest.raises(ValueError, match=r'the outputs are \(40, 1\), but the targets are float32\(40,\)'):
    train.run(cases.study_of(dense, Data(*(Batch(x, y[:, 0]),) * 2), loss, 1), (0,), {'lr': 0.5})


# ---- tokens -------------------------------------------------------------------------------------------------------

TOKENS = jnp.asarray(rng.integers(0, 5, (3, 4)), jnp.int32)
NEXT = np.asarray([[1, 2, -1, -1], [4, 0, 3, 2], [0, -1, -1, -1]], np.int32)


class Positions(nn.Module):
  """Answers at every position by itself."""

  @nn.compact
  def __call__(self, x):
    return nn.Dense(5)(jnp.tanh(nn.Embed(5, 6)(x)))


@pytest.mark.parametrize('padding', [-1, -2])
def test_next_token_is_the_mean_over_real_tokens_and_padding_has_no_gradient(padding):
  labels = np.where(NEXT < 0, padding, NEXT)
  model = network.from_flax(Positions(), TOKENS)
  variables = model.init(KEY, None)
  batch = Batch(TOKENS, jnp.asarray(labels))
  value, aux = objectives.next_token(padding=padding)(model, LOSS, None)(variables, batch, KEY)
  picked = -np.take_along_axis(log_softmax(model.apply(variables, TOKENS)), np.maximum(labels, 0)[..., None], 2)[..., 0]
  real = NEXT >= 0
  np.testing.assert_allclose(value, picked[real].mean(), rtol=1e-5)
  np.testing.assert_allclose(aux.losses, [row[r].mean() for row, r in zip(picked, real, strict=True)], rtol=1e-5)

  table = jnp.asarray(rng.normal(size=(3, 4, 5)), jnp.float32)
  free = types.Model(None, lambda variables, x, **mode: (variables['params'], types.Trace({}, {})), None)
  objective = objectives.next_token(padding=padding)(free, LOSS, None)
  gradient = np.asarray(jax.grad(lambda z: objective({'params': z}, batch, KEY)[0])(table))
  assert (gradient[~real] == 0).all()
  expected = np.exp(log_softmax(table)) - np.eye(5)[np.maximum(labels, 0)]
  np.testing.assert_allclose(gradient[real], expected[real] / real.sum(), atol=1e-6)


@pytest.mark.parametrize(
  ('module', 'labels', 'sentence'),
  [
    (models.mlp(5, 5, widths=(3,)), TOKENS, r'they are \(3, 5\) and \(3, 4\)'),
    (Positions(), TOKENS[:, 0], r'they are \(3, 4, 5\) and \(3,\)'),
    (Positions(), TOKENS[:, :3], r'they are \(3, 4, 5\) and \(3, 3\)'),
  ],
)
def test_next_token_refuses_other_shapes(module, labels, sentence):
  model = network.from_flax(module, TOKENS)
  objective = objectives.next_token()(model, LOSS, None)
  with pytest.raises(ValueError, match=sentence):
    jax.eval_shape(lambda: objective(model.init(KEY, None), Batch(TOKENS, labels), KEY))


# ---- a teacher ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(('temperature', 'hard'), [(1.0, 0.0), (3.0, 0.0), (2.0, 0.4), (1.0, 1.0)])
def test_distillation_is_the_divergence_from_the_teacher_at_its_temperature(model, temperature, hard):
  student, teacher = (model.init(key, DATA) for key in jax.random.split(KEY))
  make = objectives.distillation(temperature=jnp.float32(temperature), hard=jnp.float32(hard))
  objective = make(model, LOSS, types.Source(model, teacher))
  value, aux = objective(student, DATA.train, KEY)
  z, t = (np.asarray(model.apply(v, X), np.float64) for v in (student, teacher))
  target, answer = log_softmax(t / temperature), log_softmax(z / temperature)
  soft = temperature**2 * (np.exp(target) * (target - answer)).sum(1)
  expected = (1 - hard) * soft - hard * log_softmax(z)[np.arange(12), Y]
  np.testing.assert_allclose(aux.losses, expected, rtol=1e-4, atol=1e-6)
  np.testing.assert_allclose(value, expected.mean(), rtol=1e-4)
  if not hard:
    at_teacher = jax.value_and_grad(lambda p: objective({'params': p}, DATA.train, KEY)[0])(teacher['params'])
    np.testing.assert_allclose(at_teacher[0], 0, atol=1e-6)
    for gradient in jax.tree.leaves(at_teacher[1]):
      np.testing.assert_allclose(gradient, 0, atol=1e-6)


def test_a_teacher_of_other_outputs_is_refused(model):
  other = network.from_flax(models.linear(2), X)
  objective = objectives.distillation()(model, LOSS, types.Source(other, other.init(KEY, DATA)))
  with pytest.raises(ValueError, match=r'the teacher answers \(12, 2\) and the student \(12, 3\)'):
    objective(model.init(KEY, DATA), DATA.train, KEY)


def test_a_student_is_trained_towards_a_source_of_its_own(cases, model):
  """Each member has its own teacher; the divergence falls for both."""
  teachers = jax.vmap(lambda key: model.init(key, DATA))(jax.random.split(jax.random.key(7), 2))
  kl = lambda view: view.problem.objective(view.variables, view.data.train, KEY)[0]
  distillation = lambda hyper: objectives.distillation()
  study = cases.study_of(model, DATA, LOSS, 60, {'kl': kl}, (0, 60), objective=distillation, source=model)
  done = train.run(study, (0, 1), {'lr': 1.0}, source=teachers)
  curve = done.arrays['kl'][''].values.T
  assert (curve[1] < 0.2 * curve[0]).all()
  for m in range(2):
    start, teacher = (jax.tree.map(lambda v, m=m: v[m], dict(tree)) for tree in (done.frozen.initial, teachers))
    target, answer = (log_softmax(model.apply(v, X)) for v in (teacher, start))
    np.testing.assert_allclose(curve[0, m], (np.exp(target) * (target - answer)).sum(1).mean(), rtol=1e-4)


# ---- a penalty, as a user writes one ------------------------------------------------------------------------------


@component()
def ridge(*, penalty: Traced(least=0.0) = 0.0):
  """The supervised loss, plus penalty/2 |w|^2."""

  def objective(model, loss, source):
    plain = objectives.supervised()(model, loss, source)

    def value(variables, batch, key):
      total, aux = plain(variables, batch, key)
      squares = sum(jnp.sum(jnp.square(w)) for w in jax.tree.leaves(variables['params']))
      return total + penalty / 2 * squares, Aux(*aux)

    return value

  return objective


def test_a_penalty_is_a_few_lines_and_its_weight_is_traced(cases, model):
  """A sweep over the weight is one program; the step differs from the plain one by lr * penalty * w."""
  part = Part(ridge, {})
  assert part.reads == ('penalty',)
  study = cases.study_of(model, DATA, LOSS, 1, objective=part.make)
  done = train.run(study, (0, 0, 0), {'lr': 0.1, 'penalty': (0.0, 1.0, 2.0)})
  start, end = (jax.device_get(tree['params']) for tree in (done.frozen.initial, done.state.variables))
  for w0, w in zip(jax.tree.leaves(start), jax.tree.leaves(end), strict=True):
    for m, penalty in enumerate((0.0, 1.0, 2.0)):
      np.testing.assert_allclose(w[m], w[0] - 0.1 * penalty * w0[0], rtol=1e-5, atol=1e-6)


# ---- dropout ------------------------------------------------------------------------------------------------------


class Dropped(nn.Module):
  @nn.compact
  def __call__(self, x, train: bool):
    x = nn.Dropout(0.5, deterministic=not train)(nn.Dense(16)(x))
    self.sow('intermediates', 'after_input', x)
    return nn.Dense(3)(jnp.tanh(x))


def test_masks_differ_between_steps_and_members_and_evaluation_has_none():
  model = network.from_flax(Dropped(), X)
  variables = model.init(KEY, DATA)
  masks = lambda key: np.asarray(model.forward(variables, X, key=key, train=True)[1].features['after_input'] == 0)
  first, second = (masks(jax.random.fold_in(KEY, t)) for t in (0, 1))
  assert (first != second).any()
  np.testing.assert_array_equal(masks(jax.random.fold_in(KEY, 0)), first)
  assert 0.3 < first.mean() < 0.7
  np.testing.assert_array_equal(model.apply(variables, X), model.apply(variables, X, key=KEY))
  assert not (model.forward(variables, X)[1].features['after_input'] == 0).any()


def test_a_network_with_dropout_trains_by_member_and_step_and_resumes_to_the_bit(cases):
  """Two members that differ in nothing but their seeds start at one point and part at the first step."""
  model = network.from_flax(Dropped(), X)
  same = model.init(KEY, DATA)
  study = cases.study_of(
    model._replace(init=lambda key, data: same), DATA, LOSS, 6, {'performance': probes.performance()}, (0, 6)
  )
  programs = train.compile_programs(study, parallel.mesh(1, devices=jax.devices()[:1]))
  members = train.join((0, 1), {'lr': 0.5})
  events = [e._replace(state=jax.device_get(e.state)) for e in train.events(study, members, programs, stretch=0.0)]
  kernels = [np.asarray(e.state.variables['params']['Dense_1']['kernel']) for e in events]
  np.testing.assert_array_equal(kernels[0][0], kernels[0][1])
  assert (kernels[1][0] != kernels[1][1]).any()
  # With plain gradients two steps from the same weights would be the same step.
  again = programs.advance(jax.tree.map(jnp.asarray, events[0].state), events[0].frozen, members, DATA, 1, 2)
  assert (np.asarray(again.variables['params']['Dense_1']['kernel']) != kernels[1]).any()
  for event in (events[0], events[3]):
    *_, last = train.events(study, members, programs, resume=(event.step, event.state, event.frozen))
    chex.assert_trees_all_equal(jax.device_get(last.state), events[-1].state)
  for m in range(2):  # readings are those of the whole network
    end = jax.tree.map(lambda v, m=m: jnp.asarray(v[m]), events[-1].state.variables)
    expected = np.mean(LOSS(Dropped().apply(end, DATA.train.x, train=False), DATA.train.y))
    np.testing.assert_allclose(events[-1].readings['performance']['train_loss'][m], expected, rtol=1e-5)
