"""Roles and fans read from models of many kinds, against tables written by hand in the order of the forward pass."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from dynamics import models
from dynamics.leaves import Leaf, describe, weights

KEY = jax.random.key(0)
BIAS, SCALE = (lambda n: ('bias', 1, n)), (lambda n: ('scale', 1, n))
FLOATS, TOKENS = jnp.zeros((3, 6)), jnp.zeros((3, 5), jnp.int32)
SEQUENCES, IMAGES = jnp.zeros((3, 5, 8)), jnp.zeros((3, 8, 8, 4))


class Net(nn.Module):
  """A compact module of one function."""

  function: object

  @nn.compact
  def __call__(self, x):
    return self.function(x)


class Block(nn.Module):
  @nn.compact
  def __call__(self, x, _):
    return nn.Dense(x.shape[-1], use_bias=False)(nn.LayerNorm()(x)), None


class Tied(nn.Module):
  """One matrix embeds tokens and reads them out; positions are numbers, so constants."""

  @nn.compact
  def __call__(self, x):
    embed = nn.Embed(11, 8, name='embed')
    h = embed(x) + nn.Embed(5, 8, name='positions')(jnp.arange(5))[None]
    return embed.attend(nn.Dense(8, name='dense')(nn.relu(h)))


class Vision(nn.Module):
  @nn.compact
  def __call__(self, x):
    h = nn.Conv(8, (2, 2), (2, 2), name='patches')(x).reshape(3, -1, 8)
    token = self.param('token', nn.initializers.zeros, (1, 1, 8))
    h = jnp.concatenate([jnp.broadcast_to(token, (3, 1, 8)), h], axis=1)
    h = h + self.param('places', nn.initializers.zeros, (1, 17, 8))
    h = h + nn.MultiHeadDotProductAttention(2, use_bias=False, name='attention')(nn.LayerNorm(name='norm')(h))
    return nn.Dense(2, name='readout')(h[:, 0])


def scanned(body=Block):
  return nn.scan(body, variable_axes={'params': 0}, split_rngs={'params': True}, length=3)(name='layers')


def gates(cell, *names):
  """The leaves of a recurrent cell: kernels of the input (8, 4) and of the state (4, 4)."""
  return {f'{cell}/{name}/kernel': ('input', 8, 4) if name[0] == 'i' else ('hidden', 4, 4) for name in names}


dense = lambda k, **more: nn.Dense(k, use_bias=False, **more)

FLAX = {
  'written inside out': (
    Net(lambda x: nn.Dense(2)(nn.tanh(nn.Dense(32)(x)))),
    FLOATS,
    {
      'Dense_1/kernel': ('input', 6, 32),
      'Dense_1/bias': BIAS(32),
      'Dense_0/kernel': ('output', 32, 2),
      'Dense_0/bias': BIAS(2),
    },
  ),
  'attention': (
    nn.MultiHeadDotProductAttention(4, normalize_qk=True),
    SEQUENCES,
    {f'{name}/kernel': ('input', 8, 8) for name in ('query', 'key', 'value')}
    | {f'{name}/bias': BIAS(8) for name in ('query', 'key', 'value', 'out')}
    | {'query_ln/scale': SCALE(2), 'key_ln/scale': SCALE(2), 'out/kernel': ('output', 8, 8)},
  ),
  'scan': (
    Net(lambda x: dense(2, name='last')(scanned()(dense(7, name='first')(x), None)[0])),
    FLOATS,
    {
      'first/kernel': ('input', 6, 7),
      'layers/LayerNorm_0/scale': SCALE(7),
      'layers/LayerNorm_0/bias': BIAS(7),
      'layers/Dense_0/kernel': ('hidden', 7, 7),
      'last/kernel': ('output', 7, 2),
    },
  ),
  'scan alone, with remat': (
    Net(lambda x: scanned(nn.remat(Block))(x, None)[0]),
    FLOATS,
    {
      'layers/LayerNorm_0/scale': SCALE(6),
      'layers/LayerNorm_0/bias': BIAS(6),
      'layers/Dense_0/kernel': ('hidden', 6, 6),
    },
  ),
  'prelu, remat': (
    Net(lambda x: dense(2)(nn.PReLU()(nn.remat(nn.Dense)(9)(x)))),
    FLOATS,
    {
      'CheckpointDense_0/kernel': ('input', 6, 9),
      'CheckpointDense_0/bias': BIAS(9),
      'PReLU_0/negative_slope': SCALE(1),
      'Dense_0/kernel': ('output', 9, 2),
    },
  ),
  'tied embedding': (
    Tied(),
    TOKENS,
    {
      'embed/embedding': ('input', 1, 8),
      'positions/embedding': ('input', 1, 8),
      'dense/kernel': ('hidden', 8, 8),
      'dense/bias': BIAS(8),
    },
  ),
  'convolutions': (
    nn.Sequential(
      [
        nn.Conv(4, (3, 3), feature_group_count=4),
        nn.BatchNorm(use_running_average=True),
        nn.Conv(6, (3, 3), feature_group_count=2),
        nn.GroupNorm(2),
        nn.ConvTranspose(5, (2, 2), strides=(2, 2), transpose_kernel=True, use_bias=False),
        lambda x: x.reshape(3, -1),
        dense(2),
      ]
    ),
    IMAGES,
    {
      'layers_0/kernel': ('input', 9, 4),
      'layers_0/bias': BIAS(4),
      'layers_1/scale': SCALE(4),
      'layers_1/bias': BIAS(4),
      'layers_2/kernel': ('hidden', 18, 6),
      'layers_2/bias': BIAS(6),
      'layers_3/scale': SCALE(6),
      'layers_3/bias': BIAS(6),
      'layers_4/kernel': ('hidden', 24, 5),
      'layers_6/kernel': ('output', 16 * 16 * 5, 2),
    },
  ),
  'lstm': (
    Net(lambda x: dense(2)(nn.RNN(nn.LSTMCell(4))(x)[:, -1])),
    SEQUENCES,
    gates('LSTMCell_0', 'ii', 'hi', 'if', 'hf', 'ig', 'hg', 'io', 'ho')
    | {f'LSTMCell_0/h{gate}/bias': BIAS(4) for gate in 'ifgo'}
    | {'Dense_0/kernel': ('output', 4, 2)},
  ),
  'lstm in one product': (
    Net(lambda x: dense(2)(nn.RNN(nn.OptimizedLSTMCell(4))(x)[:, -1])),
    SEQUENCES,
    gates('OptimizedLSTMCell_0', 'hi', 'hf', 'hg', 'ho', 'ii', 'if', 'ig', 'io')
    | {f'OptimizedLSTMCell_0/h{gate}/bias': BIAS(4) for gate in 'ifgo'}
    | {'Dense_0/kernel': ('output', 4, 2)},
  ),
  'several axes': (
    Net(lambda x: nn.DenseGeneral(3, axis=(-2, -1))(nn.Einsum((8, 4, 5), 'nld,dhk->nlhk', use_bias=False)(x))),
    SEQUENCES,
    {'Einsum_0/kernel': ('input', 8, 20), 'DenseGeneral_0/kernel': ('output', 20, 3), 'DenseGeneral_0/bias': BIAS(3)},
  ),
  'copies': (
    nn.vmap(nn.Dense, in_axes=1, out_axes=1, variable_axes={'params': 0}, split_rngs={'params': True})(7),
    SEQUENCES,
    {'kernel': ('output', 8, 7), 'bias': BIAS(7)},
  ),
  'weight norm': (
    Net(lambda x: dense(2)(nn.WeightNorm(dense(7))(x))),
    FLOATS,
    {
      'Dense_1/kernel': ('input', 6, 7),
      'WeightNorm_0/Dense_1/kernel/scale': SCALE(7),
      'Dense_0/kernel': ('output', 7, 2),
    },
  ),
  'spectral norm': (
    Net(lambda x: dense(2)(nn.SpectralNorm(dense(7))(x, update_stats=False))),
    FLOATS,
    {'Dense_1/kernel': ('input', 6, 7), 'Dense_0/kernel': ('output', 7, 2)},
  ),
  'class token': (
    Vision(),
    IMAGES,
    {
      'patches/kernel': ('input', 16, 8),
      'patches/bias': BIAS(8),
      'token': ('input', 1, 8),
      'places': ('input', 1, 8),
      'norm/scale': SCALE(8),
      'norm/bias': BIAS(8),
      'attention/query/kernel': ('hidden', 8, 8),
      'attention/key/kernel': ('hidden', 8, 8),
      'attention/value/kernel': ('hidden', 8, 8),
      'attention/out/kernel': ('hidden', 8, 8),
      'readout/kernel': ('output', 8, 2),
      'readout/bias': BIAS(2),
    },
  ),
}

cell = lambda wx, wh: lambda h, x: (jnp.tanh(x @ wx + h @ wh), None)

PLAIN = {  # function of x and of parameters of these shapes, with their roles and fans
  'one vector': (lambda x, w: x @ w, FLOATS, {'w': ((6,), 'output', 6, 1)}),
  'product and sum': (
    lambda x, w, v: jnp.sum(jnp.sum(x[:, :, None] * w[None], axis=1) * v[None], axis=-1),
    FLOATS,
    {'w': ((6, 5), 'input', 6, 5), 'v': ((5,), 'output', 5, 1)},
  ),
  'one feature': (
    lambda x, w, b, v: jnp.tanh(x * w[None] + b[None]) @ v,
    FLOATS[:, :1],
    {'w': ((6,), 'input', 1, 6), 'b': ((6,), 'bias', 1, 6), 'v': ((6,), 'output', 6, 1)},
  ),
  'factors of an update': (
    lambda x, w, a, b, v: jnp.tanh(x @ (w + a @ b)) @ v,
    FLOATS,
    {'w': ((6, 9), 'input', 6, 9), 'a': ((6, 2), 'input', 6, 2), 'b': ((2, 9), 'hidden', 2, 9), 'v': ((9,), 'output', 9, 1)},
  ),
  'factors from the left': (
    lambda x, a, b, c: (((c @ b) @ a) @ x.T).T,
    FLOATS,
    {'a': ((5, 6), 'input', 6, 5), 'b': ((4, 5), 'hidden', 5, 4), 'c': ((3, 4), 'output', 4, 3)},
  ),
  'entrywise factors, a gain': (
    lambda x, u, v, g: x @ (g * (u * u - v * v)),
    FLOATS,
    {'u': ((6,), 'output', 6, 1), 'v': ((6,), 'output', 6, 1), 'g': ((), 'scale', 1, 1)},
  ),
  'stacked, unrolled': (
    lambda x, w, v: jnp.tanh(jnp.tanh(x @ w[0]) @ w[1]) @ v,
    FLOATS,
    {'w': ((2, 6, 6), 'hidden', 6, 6), 'v': ((6, 1), 'output', 6, 1)},
  ),
  'stacked, in a while loop': (
    lambda x, n, w, v: (
      jax.lax.while_loop(lambda s: s[0] < 2, lambda s: (s[0] + 1, jnp.tanh(s[1] @ w[s[0]] + n[None])), (0, x))[1] @ v
    ),
    FLOATS,
    {'w': ((2, 6, 6), 'hidden', 6, 6), 'n': ((6,), 'bias', 1, 6), 'v': ((6, 1), 'output', 6, 1)},
  ),
  'branches': (
    lambda x, a, b: jax.lax.cond(x.sum() > 0, lambda x: x @ a, lambda x: x @ b.T, x),
    FLOATS,
    {'b': ((7, 6), 'output', 6, 7), 'a': ((6, 7), 'output', 6, 7)},
  ),
  'fused and split': (
    lambda x, w, v: (lambda q, k, g: (q * k + g) @ v)(*jnp.split(x @ w, 3, axis=-1)),
    FLOATS,
    {'w': ((6, 12), 'input', 6, 12), 'v': ((4, 1), 'output', 4, 1)},
  ),
  'joined inputs': (lambda x, w: x[:, :2] @ w[:2] + x[:, 2:] @ w[2:], FLOATS, {'w': ((6, 4), 'output', 6, 4)}),
  'flat': (lambda x, w: x @ w.reshape(6, 4), FLOATS, {'w': ((24,), 'output', 6, 4)}),
  'first state': (
    lambda x, h, wx, wh, v: jax.lax.scan(cell(wx, wh), jnp.broadcast_to(h[None], (3, 8)), x.swapaxes(0, 1))[0] @ v,
    SEQUENCES,
    {
      'h': ((8,), 'input', 1, 8),
      'wx': ((8, 8), 'input', 8, 8),
      'wh': ((8, 8), 'hidden', 8, 8),
      'v': ((8, 2), 'output', 8, 2),
    },
  ),
  'unrolled from zeros': (
    lambda x, wx, wh, v: cell(wx, wh)(cell(wx, wh)(jnp.zeros((3, 8)), x[:, 0])[0], x[:, 1])[0] @ v,
    SEQUENCES,
    {'wx': ((8, 8), 'input', 8, 8), 'wh': ((8, 8), 'hidden', 8, 8), 'v': ((8, 2), 'output', 8, 2)},
  ),
  'experts': (
    lambda x, r, w, v: jnp.einsum('nd,ndh->nh', x, w[jnp.argmax(x @ r, axis=-1)]) @ v,
    FLOATS,
    {'r': ((6, 3), 'input', 6, 3), 'w': ((3, 6, 5), 'hidden', 6, 5), 'v': ((5, 1), 'output', 5, 1)},
  ),
  'fixed features, a temperature': (
    lambda x, b, v, t: jnp.cos(x @ jnp.ones((6, 7)) + b[None]) @ v / t,
    FLOATS,
    {'b': ((7,), 'bias', 1, 7), 'v': ((7, 1), 'output', 7, 1), 't': ((), 'scale', 1, 1)},
  ),
}

rows = lambda names, role, fan_in, fan_out: {f'{name}/kernel': (role, fan_in, fan_out) for name in names}
LAYERS = ('hidden_0', 'hidden_1')


def encoder(embedding, embedded):
  """A pre-norm transformer of width 8 with two layers and expansion 2."""
  attention = [f'{layer}_attention/{name}' for layer in LAYERS for name in ('query', 'key', 'value', 'merge')]
  norms = [f'{layer}_{part}_norm' for layer in LAYERS for part in ('attention', 'dense')] + ['norm_final']
  up, down = ([f'{layer}_{side}' for layer in LAYERS] for side in ('up', 'down'))
  return (
    {embedding: embedded, 'position_embedding': ('input', 1, 8), 'readout/kernel': ('output', 8, 3)}
    | rows(attention, 'hidden', 8, 8)
    | rows(up, 'hidden', 8, 16)
    | rows(down, 'hidden', 16, 8)
    | {f'{name}/bias': BIAS(16) for name in up}
    | {f'{name}/bias': BIAS(8) for name in (*down, *norms)}
    | {f'{name}/scale': SCALE(8) for name in norms}
  )


MODELS = {
  'mlp': (
    models.mlp(widths=(8, 9), outputs=3),
    FLOATS,
    rows(['input'], 'input', 6, 8)
    | rows(['hidden_1'], 'hidden', 8, 9)
    | rows(['readout'], 'output', 9, 3)
    | {'input/bias': BIAS(8), 'hidden_1/bias': BIAS(9), 'readout/bias': BIAS(3)},
  ),
  'deep mlp': (  # names are no numbers: hidden_10 comes before hidden_2 in the order of the alphabet
    models.mlp(widths=(4,) * 12, bias=False, outputs=3),
    FLOATS,
    rows(['input'], 'input', 6, 4)
    | rows([f'hidden_{i}' for i in range(1, 12)], 'hidden', 4, 4)
    | rows(['readout'], 'output', 4, 3),
  ),
  'mlp on tokens': (
    models.normalised_mlp(widths=(8,), outputs=3, vocabulary=7),
    TOKENS,
    rows(['input'], 'input', 7, 8)
    | rows(['readout'], 'output', 8, 3)
    | {'input_norm/scale': SCALE(8), 'input_norm/bias': BIAS(8), 'readout/bias': BIAS(3)},
  ),
  'linear': (models.linear(outputs=3), FLOATS, rows(['readout'], 'output', 6, 3)),
  'linear on tokens': (models.linear(outputs=3, vocabulary=7), TOKENS, rows(['readout'], 'output', 7, 3)),
  'conv': (
    models.conv(outputs=3),
    IMAGES,
    rows(['input'], 'input', 36, 8)
    | rows(['hidden_1'], 'hidden', 72, 16)
    | rows(['readout'], 'output', 256, 3)
    | {'input/bias': BIAS(8), 'hidden_1/bias': BIAS(16), 'readout/bias': BIAS(3)},
  ),
  'patchwise': (models.patchwise(outputs=1), SEQUENCES, rows(['input'], 'output', 8, 20)),
  'rnn': (
    models.rnn(width=4, outputs=3, leak=0.5, bias=True, response=2),
    SEQUENCES,
    rows(['input'], 'input', 8, 4)
    | rows(['recurrent'], 'hidden', 4, 4)
    | rows(['readout'], 'output', 4, 3)
    | {'recurrent/bias': BIAS(4), 'readout/bias': BIAS(3)},
  ),
  'rnn on tokens': (
    models.rnn(width=4, outputs=3, vocabulary=7),
    TOKENS,
    {'input/embedding': ('input', 1, 4)} | rows(['recurrent'], 'hidden', 4, 4) | rows(['readout'], 'output', 4, 3),
  ),
  'symmetric factor': (models.factorisation(outputs=1), jnp.zeros((3, 6, 6)), {'left': ('output', 6, 5)}),
  'factors': (
    models.factorisation(width=2, symmetric=False, outputs=1),
    jnp.zeros((3, 6, 7)),
    {'left': ('input', 6, 2), 'right': ('output', 2, 7)},
  ),
  'transformer': (
    models.transformer(layers=2, width=8, heads=2, expansion=2, norm='pre', outputs=3),
    SEQUENCES,
    encoder('input/kernel', ('input', 8, 8)),
  ),
  'transformer on tokens': (
    models.transformer(layers=2, width=8, heads=2, expansion=2, norm='pre', causal=True, outputs=3, vocabulary=7),
    TOKENS,
    encoder('input/embedding', ('input', 1, 8)),
  ),
}


def plain(function, shapes):
  """(apply, shapes of the variables) of a function of x and of parameters by name."""
  params = {name: jax.ShapeDtypeStruct(shape, jnp.float32) for name, shape in shapes.items()}
  return (lambda variables, x: function(x, **variables['params'])), {'params': params}


def read(leaves):
  every = jax.tree.leaves(leaves, is_leaf=lambda leaf: isinstance(leaf, Leaf))
  return {leaf.name: (leaf.role, leaf.fan_in, leaf.fan_out) for leaf in every}


@pytest.mark.parametrize('name', [*FLAX, *MODELS])
def test_roles_and_fans_of_modules(name):
  module, x, expected = {**FLAX, **MODELS}[name]
  leaves = describe(module.apply, jax.eval_shape(module.init, KEY, x), x)
  assert read(leaves) == expected
  if name in (*FLAX, 'deep mlp'):  # tables in the order of the forward pass
    assert [leaf.name for leaf in weights(leaves)] == [n for n, (role, *_) in expected.items() if role not in ('bias', 'scale')]


@pytest.mark.parametrize('name', PLAIN)
def test_roles_and_fans_of_functions(name):
  function, x, expected = PLAIN[name]
  leaves = describe(*plain(function, {n: shape for n, (shape, *_) in expected.items()}), x)
  assert read(leaves) == {n: tuple(facts) for n, (_, *facts) in expected.items()}
  assert [leaf.name for leaf in weights(leaves)] == [n for n, (_, role, *_) in expected.items() if role not in ('bias', 'scale')]


def test_description_inside_a_trace_and_of_a_tree_of_inputs():
  apply, variables = plain(lambda x, a, b: x['left'] @ a + x['right'] @ b, {'a': (6, 2), 'b': (3, 2)})
  x = {'left': jnp.ones((3, 6)), 'right': jnp.ones((3, 3))}
  seen = []
  jax.eval_shape(lambda variables, x: (seen.append(describe(apply, variables, x)), x)[1], variables, x)
  assert seen == [describe(apply, variables, x)]
  assert read(seen[0]) == {'a': ('output', 6, 2), 'b': ('output', 3, 2)}
