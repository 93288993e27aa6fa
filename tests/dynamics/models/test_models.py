"""Networks: shapes, counts, and properties shown through gradients."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import leaves, models, network, trees

KEY = jax.random.key(0)
TOKENS = jnp.asarray([[0, 5], [3, 3], [2, 4]], jnp.int32)


def params_of(module, x):
  return module.init(KEY, x)['params']


def test_an_mlp_on_tokens_is_the_mlp_on_sums_of_one_hot_vectors():
  """Forward pass and gradient; a token that stands twice counts twice."""
  onehot = jnp.sum(jax.nn.one_hot(TOKENS, 6), axis=1)
  assert onehot[1, 3] == 2
  module = models.mlp(widths=(5, 4), outputs=3, vocabulary=6)
  params = params_of(module, TOKENS)
  assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, params_of(module, onehot))
  cost = lambda params, x: jnp.sum(jnp.sin(module.apply({'params': params}, x)))
  np.testing.assert_allclose(module.apply({'params': params}, TOKENS), module.apply({'params': params}, onehot), atol=1e-6)
  a, b = jax.grad(cost)(params, TOKENS), jax.grad(cost)(params, onehot)
  chex.assert_trees_all_close(a, b, rtol=1e-7, atol=1e-6)


FLOATS = jnp.zeros((3, 4), jnp.float32)
COUNTS = [
  (models.mlp(widths=(5, 6), outputs=2), FLOATS, 4 * 5 + 5 + 5 * 6 + 6 + 6 * 2 + 2),
  (models.mlp(widths=(5,), bias=False, outputs=2, vocabulary=6), TOKENS, 6 * 5 + 5 * 2),
  (models.mlp(widths=(5,), outputs=2, vocabulary=6), TOKENS, 6 * 5 + 5 + 5 * 2 + 2),
  (models.mlp(widths=(5,), bias=False, outputs=2), jnp.zeros((3, 2, 2, 1)), 4 * 5 + 5 * 2),
  (models.linear(outputs=2), FLOATS, 8),
  (models.linear(widths=(3,), bias=True, outputs=2), FLOATS, 12 + 3 + 6 + 2),
  (
    models.conv(channels=(4, 5), strides=(1, 2), outputs=2),
    jnp.zeros((3, 5, 6, 2)),
    9 * 2 * 4 + 4 + 9 * 4 * 5 + 5 + 3 * 3 * 5 * 2 + 2,
  ),
  (models.conv(channels=(4,), strides=(2,), window=2, bias=False, outputs=2), jnp.zeros((3, 4, 4, 1)), 4 * 4 + 16 * 2),
  (models.rnn(width=6, outputs=2), jnp.zeros((3, 5, 4)), 4 * 6 + 6 * 6 + 6 * 2),
  (models.rnn(width=6, bias=True, outputs=2, vocabulary=7), TOKENS, 7 * 6 + 6 * 6 + 6 + 6 * 2 + 2),
  # embedding + positions; four projections; up and down with biases; norms; readout
  (
    models.transformer(layers=2, width=8, heads=2, expansion=3, norm='post', outputs=5, vocabulary=6),
    TOKENS,
    6 * 8 + 2 * 8 + 2 * (4 * 64 + 2 * 8 * 24 + 24 + 8 + 4 * 8) + 8 * 5,
  ),
  (
    models.transformer(width=8, heads=2, norm='pre', outputs=5),
    jnp.zeros((3, 2, 4)),
    4 * 8 + 2 * 8 + 4 * 64 + 2 * 8 * 32 + 32 + 8 + 6 * 8 + 8 * 5,
  ),
]


@pytest.mark.parametrize(('module', 'x', 'count'), COUNTS)
def test_shapes_and_numbers_of_parameters(module, x, count):
  shapes = jax.eval_shape(module.init, KEY, x)['params']
  out = jax.eval_shape(module.apply, {'params': shapes}, x)
  assert (out.shape, out.dtype) == ((3, module.outputs), jnp.float32)
  assert trees.size(shapes) == count
  if not getattr(module, 'bias', True):
    assert not [name for name in trees.by_path(shapes) if name.endswith('bias')]


def test_a_linear_network_is_linear():
  module = models.linear(widths=(7,), outputs=2)
  variables = module.init(KEY, FLOATS)
  x, y = jax.random.normal(jax.random.key(1), (2, 3, 4))
  f = lambda x: module.apply(variables, x)
  np.testing.assert_allclose(f(x + 2 * y), f(x) + 2 * f(y), atol=1e-5)


@pytest.mark.parametrize('causal', [True, False])
def test_causality_through_gradients(causal):
  """Output is read at the last position, so position i of its attention input is looked at by all later ones.

  In a causal network, the features of position 0 after attention must not depend on position 1 or 2. We read them by
  moving position 0 to the end: dropping the later positions must change nothing if and only if the network is causal.
  """
  from dynamics.models.transformer import Attention

  attention, x = Attention(heads=2, causal=causal), jax.random.normal(jax.random.key(2), (1, 3, 4))
  variables = attention.init(KEY, x)
  jacobian = jax.jacobian(lambda x: attention.apply(variables, x)[0])(x)[:, :, 0]  # (l out, d, l in, d)
  reach = np.abs(jacobian).max(axis=(1, 3)) > 0
  np.testing.assert_array_equal(reach, np.tril(np.ones((3, 3), bool)) if causal else np.ones((3, 3), bool))


@pytest.mark.parametrize('causal', [True, False])
def test_the_readout_sees_all_positions_and_their_order(causal):
  module = models.transformer(width=8, heads=2, causal=causal, outputs=3, vocabulary=6)
  x = jnp.asarray([[0, 1, 2], [1, 0, 2], [4, 1, 2]], jnp.int32)
  out = np.asarray(module.apply(module.init(KEY, x), x))
  assert np.abs(out[0] - out[1]).max() > 1e-3, 'the order of tokens does not matter'
  assert np.abs(out[0] - out[2]).max() > 1e-3, 'the first token does not matter'


def test_without_positions_attention_does_not_know_the_order():
  """The control of the test above: with zero position vectors, swapping two earlier tokens changes nothing."""
  module = models.transformer(width=8, heads=2, outputs=3, vocabulary=6)
  x = jnp.asarray([[0, 1, 2], [1, 0, 2]], jnp.int32)
  params = params_of(module, x)
  params['position_embedding'] = jnp.zeros_like(params['position_embedding'])
  out = module.apply({'params': params}, x)
  np.testing.assert_allclose(out[0], out[1], atol=1e-5)


def test_heads_must_divide_the_width():
  with pytest.raises(ValueError, match='which 3 heads do not divide'):
    models.transformer(width=8, heads=3, outputs=2)


@pytest.mark.parametrize(
  ('activation', 'leak', 'bias', 'response'), [('relu', 0.8, False, 1), ('tanh', 0.0, True, 3), ('identity', 0.5, True, 5)]
)
def test_a_recurrent_network_against_a_loop_in_numpy(activation, leak, bias, response):
  rng = np.random.default_rng(5)
  x = rng.normal(size=(3, 5, 4)).astype(np.float32)
  module = models.rnn(width=6, activation=activation, leak=leak, bias=bias, response=response, outputs=2)
  shapes = jax.eval_shape(module.init, KEY, x)['params']
  params = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32) / 2, shapes)
  phi = {'relu': lambda h: np.maximum(h, 0), 'tanh': np.tanh, 'identity': lambda h: h}[activation]
  w = {name: leaf.astype(np.float64) for name, leaf in trees.by_path(params).items()}
  h, answers = np.zeros((3, 6)), []
  for t in range(5):
    h = leak * h + (1 - leak) * (phi(h) @ w['recurrent/kernel'] + x[:, t] @ w['input/kernel'] + w.get('recurrent/bias', 0))
    answers.append(phi(h) @ w['readout/kernel'] + w.get('readout/bias', 0))
  out = jax.jit(module.apply)({'params': params}, x)
  np.testing.assert_allclose(out, np.mean(answers[-response:], axis=0), atol=1e-5)


def test_a_recurrent_network_reads_tokens_as_one_hot_vectors_and_knows_its_layers():
  module = models.rnn(width=5, outputs=3, vocabulary=6)
  params = jax.jit(module.init)(KEY, TOKENS)['params']
  dense = {**params, 'input': {'kernel': params['input']['embedding']}}
  one_hot = jax.nn.one_hot(TOKENS, 6)
  np.testing.assert_allclose(module.apply({'params': params}, TOKENS), module.apply({'params': dense}, one_hot), atol=1e-6)
  weights = leaves.weights(network.from_flax(models.rnn(width=5, outputs=3), one_hot).leaves())
  assert [(leaf.name, leaf.role, leaf.fan_in) for leaf in weights] == [
    ('input/kernel', 'input', 6), ('recurrent/kernel', 'hidden', 5), ('readout/kernel', 'output', 5),
  ]  # fmt: skip


@pytest.mark.parametrize(
  ('x', 'response', 'sentence'),
  [
    (jnp.zeros((3, 4)), 1, r'an rnn reads sequences, .* but the inputs are \(3, 4\) of float32'),
    (jnp.zeros((3, 4, 2)), 5, 'response is 5, but the sequences have 4 positions'),
  ],
)
def test_a_recurrent_network_says_what_it_cannot_read(x, response, sentence):
  with pytest.raises(ValueError, match=sentence):
    jax.eval_shape(models.rnn(response=response, outputs=2).init, KEY, x)


@pytest.mark.parametrize(('strides', 'window'), [((1, 2), 3), ((2, 1), 2)])
def test_a_convolution_against_loops_in_numpy(strides, window):
  """Padding as small as keeps ceil(size / stride) positions, the odd cell of it at the end."""
  rng = np.random.default_rng(6)
  x = rng.normal(size=(2, 5, 4, 2)).astype(np.float32)
  module = models.conv(channels=(3, 2), strides=strides, window=window, activation='tanh', outputs=3)
  shapes = jax.eval_shape(module.init, KEY, x)['params']
  params = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32) / 3, shapes)
  w = {name: leaf.astype(np.float64) for name, leaf in trees.by_path(params).items()}
  h = x.astype(np.float64)
  for name, stride in zip(('input', 'hidden_1'), strides, strict=True):
    sides = [-(-size // stride) for size in h.shape[1:3]]
    more = [max((n - 1) * stride + window - size, 0) for n, size in zip(sides, h.shape[1:3], strict=True)]
    h = np.pad(h, [(0, 0), *((m // 2, m - m // 2) for m in more), (0, 0)])
    out = np.empty((2, *sides, w[f'{name}/bias'].size))
    for i in range(sides[0]):
      for j in range(sides[1]):
        cut = h[:, i * stride : i * stride + window, j * stride : j * stride + window]
        out[:, i, j] = np.einsum('nabc,abco->no', cut, w[f'{name}/kernel']) + w[f'{name}/bias']
    h = np.tanh(out)
  expected = h.reshape(2, -1) @ w['readout/kernel'] + w['readout/bias']
  np.testing.assert_allclose(jax.jit(module.apply)({'params': params}, x), expected, atol=1e-5)
  weights = leaves.weights(network.from_flax(module, x).leaves())
  assert [(leaf.role, leaf.fan_in) for leaf in weights[:2]] == [('input', 2 * window**2), ('hidden', 3 * window**2)]


def test_a_convolution_says_what_it_cannot_be():
  with pytest.raises(ValueError, match='one for each of the 2 channels'):
    models.conv(channels=(4, 4), strides=(1,), outputs=2)
  with pytest.raises(ValueError, match=r'reads images, .* take flat=False'):
    jax.eval_shape(models.conv(outputs=2).init, KEY, FLOATS)
