"""What is no experiment's data, parameters or objective: refused with the shapes or values in question."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import contracts, losses, models, network, objectives, stages, train
from dynamics.types import Aux, Batch, Data

rng = np.random.default_rng(2)
X, Y = rng.normal(size=(12, 4)).astype(np.float32), (np.arange(12) % 3).astype(np.int32)
T = rng.normal(size=(12, 3)).astype(np.float32)
TOKENS = (np.arange(48).reshape(12, 4) % 9).astype(np.int32)
LOSS = losses.cross_entropy()
GOOD = Batch(X, Y)

EXAMPLES = {  # train, test, what the sentence says
  'fewer labels': (Batch(X, Y[:8]), GOOD, r'train.x is float32\(12, 4\), but train.y is int32\(8,\): .* one row an example'),
  'fewer test rows': (GOOD, Batch(X[:8], Y), r'test.x is float32\(8, 4\), but test.y is int32\(12,\)'),
  'unequal leaves': (Batch({'a': X, 'b': X[:1]}, Y), GOOD, r'but they are a: float32\(12, 4\), b: float32\(1, 4\)'),
  'a tree and too few labels': (Batch({'a': X, 'b': X}, Y[:8]), GOOD, r'a: float32\(12, 4\), .* but train.y is int32\(8,\)'),
  'no examples': (Batch(X[:0], Y[:0]), GOOD, r'train holds no examples: its x is float32\(0, 4\)'),
  'a list of inputs': (Batch(X.tolist(), Y), GOOD, r'train.x/0/0 is a Python float: .* jnp.asarray\(train.x\)'),
  'a list of labels': (Batch(X, Y.tolist()), GOOD, r'train.y is a list: targets are one array, jnp.asarray\(train.y\)'),
  'one number as inputs': (Batch(np.float32(1), Y), GOOD, r'train.x is float32\(\): .* an axis of examples'),
  'complex inputs': (Batch(X + 1j, Y), GOOD, r'train.x is complex64\(12, 4\): .* its real and imaginary parts'),
  'inputs of booleans': (Batch(X > 0, Y), GOOD, r'train.x is bool\(12, 4\): .* give them as float32'),
  'tests of another kind': (GOOD, Batch(X, T), r'y int32\(12,\), but test has x float32\(12, 4\) and y float32\(12, 3\)'),
  'tests of another rank': (GOOD, Batch(X[:, None], Y), r'x float32\(12, 4\) .* but test has x float32\(12, 1, 4\)'),
}


@pytest.mark.parametrize('case', EXAMPLES)
def test_examples_that_do_not_go_together_are_refused(cases, case):
  *splits, sentence = EXAMPLES[case]
  with pytest.raises(ValueError, match=sentence):
    contracts.data(Data(*splits))


def test_a_run_refuses_them_before_it_compiles_and_so_no_minibatch_takes_other_rows(cases):
  """Rows beyond the last input would otherwise be read as the last one."""
  model, draws = network.from_flax(models.mlp(3, None, widths=(2,)), X), Data(Batch(X[:8], Y), GOOD)
  with pytest.raises(ValueError, match=r'train.x is float32\(8, 4\), but train.y is int32\(12,\)'):
    train.run(cases.study_of(model, draws, LOSS, 1, batch=4), (0,), {'lr': 0.1})
  fresh = lambda key, data, t: Batch(data.train.x[:6], data.train.y)
  study = cases.study_of(model, Data(GOOD, GOOD), LOSS, 1, batch=fresh)
  with pytest.raises(ValueError, match=r'batch.x is float32\(6, 4\), but batch.y is int32\(12,\)'):
    train.run(study, (0,), {'lr': 0.1})


# ---- values -----------------------------------------------------------------------------------------------------

NAN, INF = np.where(X > 1.5, np.nan, X), np.where(T > 1, np.inf, T)
VALUES = {  # train, outputs, vocabulary, what the sentence says
  'inputs that are no numbers': (Batch(NAN, Y), (12, 3), None, rf'train.x \(12, 4\) holds {np.isnan(NAN).sum()} numbers that'),
  'infinite targets': (
    Batch(X, INF),
    (12, 3),
    None,
    rf'train.y \(12, 3\) holds {np.isinf(INF).sum()} numbers that are not finite',
  ),
  'a leaf of a tree': (Batch({'a': X, 'b': NAN}, Y), (12, 3), None, r'train.x/b \(12, 4\) holds'),
  'labels from 1': (Batch(X, Y + 1), (12, 3), None, r'labels of train.y go from 1 to 3, but with outputs \(n, 3\) .* 0 to 2'),
  'labels of members': (Batch(X[None], Y[None] + 1), (12, 3), None, r'train.y go from 1 to 3'),
  'signs as labels': (
    Batch(X, 2 * (Y % 2) - 1),
    (12, 1),
    None,
    r'go from -1 to 1, but with outputs \(n, 1\) they must be 0 to 1',
  ),
  'labels of positions': (Batch(TOKENS, TOKENS), (12, 4, 3), None, r'go from 0 to 8, but with outputs \(n, 3\)'),
  'tokens beyond the vocabulary': (Batch(TOKENS, Y), (12, 3), 8, r'tokens of train.x go from 0 to 8, .* vocabulary from 0 to 7'),
}


@pytest.mark.parametrize('case', VALUES)
def test_values_that_nothing_can_be_learned_from_are_refused(case):
  examples, outputs, vocabulary, sentence = VALUES[case]
  with pytest.raises(ValueError, match=sentence):
    contracts.values(Data(examples, GOOD), outputs, vocabulary)


def test_values_that_can_be_learned_from_pass():
  padded = np.where(TOKENS > 2, -1, TOKENS)
  contracts.values(Data(Batch(TOKENS, padded), Batch(TOKENS[:0], padded[:0])), (12, 4, 3), 9)
  contracts.values(Data(Batch(X[None], Y.astype(np.uint8)), GOOD), (12, 3))
  with pytest.raises(ValueError, match='vocabulary from 0 to 7'):  # one word less
    contracts.values(Data(Batch(TOKENS, padded), Batch(TOKENS[:0], padded[:0])), (12, 4, 3), 8)


@pytest.mark.parametrize('own_data', [False, True])
def test_a_run_looks_at_the_labels_and_tokens_that_were_drawn(cases, own_data):
  """Squared errors of a label that no class has would count it as a vector of zeros."""
  run = lambda model, batch, loss: train.run(
    cases.study_of(model, Data(batch, batch), loss, 1)._replace(own_data=own_data), (0, 1), {'lr': 0.1}
  )
  with pytest.raises(ValueError, match=r'labels of targets go from 1 to 3, but with outputs \(n, 3\) they must be 0 to 2'):
    run(network.from_flax(models.linear(3), X), Batch(X, Y + 1), losses.mean_squared_error())
  with pytest.raises(ValueError, match='tokens of an mlp go from 0 to 8, but those of the vocabulary from 0 to 4'):
    run(network.from_flax(models.mlp(3, 5, widths=(2,)), TOKENS), Batch(TOKENS, Y), LOSS)


def test_padding_that_the_objective_does_not_know_is_refused(cases):
  class Positions(nn.Module):
    @nn.compact
    def __call__(self, x):
      return nn.Dense(3)(nn.Embed(9, 2)(x))

  model, batch = network.from_flax(Positions(), TOKENS), Batch(TOKENS, np.where(TOKENS > 2, -100, TOKENS))
  study = cases.study_of(model, Data(batch, batch), LOSS, 1, objective=lambda hyper: objectives.next_token())
  with pytest.raises(ValueError, match=r'go from -100 to 2, .* 0 to 2, or -1 for padding'):
    train.run(study, (0,), {'lr': 0.1})


def test_ghost_batches_need_not_divide_the_training_set(cases):
  """They divide the batch of a step, which is all that is ever normalised."""
  model = network.from_flax(models.normalised_mlp(3, widths=(2,), ghost=5), X)
  begun, ended = (train.run(cases.study_of(model, Data(GOOD, GOOD), LOSS, n, batch=10), (0,), {'lr': 0.1}) for n in (0, 1))
  moved = [
    np.abs(a - b).max() for a, b in zip(*(jax.tree.leaves(r.state.variables['params']) for r in (begun, ended)), strict=True)
  ]
  assert np.isfinite(moved).all()
  assert max(moved) > 0


# ---- parameters -------------------------------------------------------------------------------------------------

AWAY = r"jnp.asarray\(..., jnp.float32\), or held outside of 'params'"
LEAVES = {
  'whole numbers': (jnp.int32(3), rf'parameter a/gain is int32, in which there is no derivative; .* {AWAY}'),
  'a Python float': (3.0, rf'parameter a/gain is a Python float; it must be an array: {AWAY}'),
  'a Python int': (3, rf'parameter a/gain is a Python int; it must be an array: {AWAY}'),
  'booleans': (np.ones(2, bool), r'parameter a/gain is bool'),
  'complex numbers': (jnp.complex64(1), r'parameter a/gain is complex64; .* real and imaginary parts as two float arrays'),
  'float64 of numpy': (np.ones(2), r'parameter a/gain is float64, but jax is in 32-bit mode'),
}


@pytest.mark.parametrize('case', LEAVES)
def test_a_leaf_that_has_no_derivative_is_named_with_the_way_out(case):
  leaf, sentence = LEAVES[case]
  with pytest.raises(ValueError, match=sentence):
    contracts.parameters({'a': {'gain': leaf, 'kernel': jnp.ones(2)}})


@pytest.mark.parametrize('case', ['whole numbers', 'a Python float', 'complex numbers'])
def test_training_refuses_such_a_leaf(cases, case):
  class Scaled(nn.Module):
    @nn.compact
    def __call__(self, x):
      gain = self.param('gain', lambda key: LEAVES[case][0])
      return nn.Dense(3)(x) * jnp.real(jnp.asarray(gain)).astype(jnp.float32)

  study = cases.study_of(network.from_flax(Scaled(), X), Data(GOOD, GOOD), LOSS, 1)
  with pytest.raises(ValueError, match=LEAVES[case][1].replace('a/gain', 'gain')):
    train.run(study, (0,), {'lr': 0.1})


def test_a_model_needs_a_parameter():
  with pytest.raises(ValueError, match=r"there are no parameters: .* at least one under 'params'"):
    contracts.parameters({})


# ---- models and objectives --------------------------------------------------------------------------------------


def objective(change, model, loss, source):
  plain = objectives.supervised()(model, loss, source)
  return lambda variables, batch, key: change(*plain(variables, batch, key))


@pytest.mark.parametrize(
  ('change', 'sentence'),
  [
    (lambda value, aux: (aux.losses, aux), r'the objective gives float32\(12,\); it must give a single number'),
    (lambda value, aux: (value[None], aux), r'the objective gives float32\(1,\)'),
    (lambda value, aux: (jnp.int32(1), aux), r'the objective gives int32\(\)'),
    (lambda value, aux: value, r'the objective gives float32\(\); it must give a pair: a single number and Aux'),
    (lambda value, aux: (value, aux.outputs), 'the objective gives a tuple; it must give a pair'),
  ],
)
def test_an_objective_gives_a_number_and_aux(cases, change, sentence):
  model = network.from_flax(models.linear(3), X)
  study = cases.study_of(model, Data(GOOD, GOOD), LOSS, 1, objective=lambda hyper: functools.partial(objective, change))
  members = jax.tree.map(lambda v: v[0], train.join((0,), {'lr': 0.1}))
  state, frozen = jax.eval_shape(stages.start(study), members, Data(GOOD, GOOD))
  with pytest.raises(ValueError, match=sentence):
    jax.eval_shape(stages.advance(study), state, frozen, members, Data(GOOD, GOOD), jnp.int32(0), jnp.int32(1))
  assert isinstance(Aux(None, None, None), Aux)


class Two(nn.Module):
  @nn.compact
  def __call__(self, x):
    return nn.Dense(3)(x), x


@pytest.mark.parametrize(
  ('module', 'x', 'sentence'),
  [
    (Two(), X, 'Two returns a tuple; it must be one array'),
    (models.mlp(3, None), TOKENS, r'inputs are int32\(1, 4\), which an mlp reads as tokens: give a vocabulary, or floats'),
    (models.transformer(3, None), TOKENS, 'which a transformer reads as tokens: give a vocabulary'),
    (models.rnn(3, None), TOKENS, 'which an rnn reads as tokens: give a vocabulary'),
    (models.conv(3), np.zeros((2, 8, 8, 1), np.uint8), r'a convolution reads floats, but the inputs are uint8\(1, 8, 8, 1\)'),
    (models.patchwise(1), np.zeros((2, 3, 4), np.int32), r'patchwise reads floats, but the inputs are int32\(1, 3, 4\)'),
  ],
)
def test_models_refuse_inputs_that_they_would_misread(module, x, sentence):
  model = network.from_flax(module, x)
  with pytest.raises(ValueError, match=sentence):
    jax.eval_shape(lambda: model.apply(model.init(jax.random.key(0), None), x[:1]))


@pytest.mark.parametrize('x', [X.astype(np.float64), jnp.asarray(X)], ids=['numpy in float64', 'jax'])
def test_inputs_of_numpy_in_float64_are_those_of_float32(recwarn, x):
  model = network.from_flax(models.linear(3), x)
  assert jax.tree.leaves(jax.eval_shape(model.init, jax.random.key(0), None))[0].dtype == np.float32
  assert not recwarn.list
