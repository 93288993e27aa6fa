"""Leaves of a model: what layers give when drawn by their fans, the first step under mup, what cannot be read, matrices."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics.leaves import describe, from_matrices, map_leaves, matrices
from dynamics.network import from_flax, initialised
from dynamics.transforms import mup

KEY = jax.random.key(0)
FLOATS = jnp.zeros((3, 6))


class Net(nn.Module):
  """A compact module of one function."""

  function: object

  @nn.compact
  def __call__(self, x):
    return self.function(x)


dense = lambda k: nn.Dense(k, use_bias=False)


def plain(function, shapes):
  """(apply, shapes of the variables) of a function of x and of parameters by name."""
  params = {name: jax.ShapeDtypeStruct(shape, jnp.float32) for name, shape in shapes.items()}
  return (lambda variables, x: function(x, **variables['params'])), {'params': params}


# ---- what layers give at the start ------------------------------------------------------------------------------------


class Linear(nn.Module):
  @nn.compact
  def __call__(self, x, _):
    return dense(x.shape[-1])(x), None


STACK = nn.scan(Linear, variable_axes={'params': 0}, split_rngs={'params': True}, length=3)


LINEAR = {  # models without an activation: with rows N(0, 1) in, and weights N(0, 1 / fan_in), outputs have mean square 1
  'dense': (Net(lambda x: dense(5)(dense(64)(x))), (32, 16)),
  'several axes': (Net(lambda x: nn.DenseGeneral(3, axis=(-2, -1))(nn.DenseGeneral((4, 16))(x))), (32, 16)),
  'values of attention': (nn.MultiHeadDotProductAttention(8), (32, 1, 64)),  # one position attends to itself alone
  'scan': (Net(lambda x: STACK()(x, None)[0]), (32, 64)),
  'remat': (Net(lambda x: nn.remat(nn.Dense)(64)(x)), (32, 16)),
  'grouped': (nn.Conv(32, (3, 3), feature_group_count=4, padding='VALID'), (4, 6, 6, 16)),
  'depthwise': (nn.Conv(32, (3, 3), feature_group_count=16, padding='VALID'), (4, 6, 6, 16)),
  'copies': (
    nn.vmap(nn.Dense, in_axes=1, out_axes=1, variable_axes={'params': 0}, split_rngs={'params': True})(16),
    (8, 5, 32),
  ),
  'norms': (Net(lambda x: nn.LayerNorm()(dense(64)(nn.RMSNorm()(x)))), (32, 16)),
  'scores': (
    (
      lambda x, q, k: jnp.sum(jnp.einsum('nd,dhk->nhk', x, q) * jnp.einsum('nd,dhk->nhk', x, k), -1) / 4,
      {'q': (32, 2, 16), 'k': (32, 2, 16)},
    ),
    (16, 32),
  ),
  'one vector': ((lambda x, w: x @ w, {'w': (64,)}), (32, 64)),
  'product and sum': ((lambda x, w: jnp.sum(x[:, :, None] * w[None], axis=1), {'w': (32, 16)}), (32, 32)),
  'factors': ((lambda x, a, b: x @ (b @ a).T, {'a': (64, 8), 'b': (16, 64)}), (32, 8)),
  'flat': ((lambda x, w: x @ w.reshape(32, 8), {'w': (256,)}), (32, 32)),
  'joined inputs': ((lambda x, w: x[:, :8] @ w[:8] + x[:, 8:] @ w[8:], {'w': (32, 16)}), (32, 32)),
  'experts': ((lambda x, w: jnp.einsum('nd,ndh->nh', x, w[x[:, 0].astype(int) % 4]), {'w': (4, 32, 16)}), (32, 32)),
  'rows': ((lambda x, w: w[x[:, 0].astype(int) % 4], {'w': (4, 32)}), (32, 1)),
}


def drawn(leaves, spread, draws):
  """(draws, *shape) weights of N(0, spread(leaf)^2), seeded by their place in the forward pass; biases 0 and scales 1."""

  def draw(leaf):
    if leaf.role in ('bias', 'scale'):
      return np.full((draws, *leaf.shape), leaf.role == 'scale', np.float32)
    return np.float32(np.random.default_rng(leaf.depth).normal(size=(draws, *leaf.shape)) * spread(leaf))

  return map_leaves(draw, leaves)


@pytest.mark.parametrize('name', LINEAR)
def test_layers_drawn_by_their_fans_keep_the_mean_square(name):
  model, shape = LINEAR[name]
  x = np.float32(np.random.default_rng(99).normal(size=shape))
  apply, variables = plain(*model) if isinstance(model, tuple) else (model.apply, jax.eval_shape(model.init, KEY, x))
  leaves = describe(apply, variables, x)
  weights = drawn(leaves, lambda leaf: leaf.fan_in**-0.5, 40)
  outputs = jax.jit(jax.vmap(lambda w: apply({'params': w}, x)))(weights)
  assert 0.85 < np.mean(np.square(outputs)) < 1.18


# ---- the first step under mup -----------------------------------------------------------------------------------------


def inside_out(width):
  return Net(lambda x: nn.Dense(2)(nn.tanh(nn.Dense(width)(x))))


def in_order(width):
  return nn.Sequential([nn.Dense(width), nn.tanh, nn.Dense(2)])


def change_of_outputs(module):
  """The root mean square change that one step of SGD makes to the outputs, under mup, over eight draws."""
  x = np.float32(np.random.default_rng(0).normal(size=(16, 6)))
  init = lambda key, leaves, data: drawn(leaves, lambda leaf: leaf.fan_in**-0.5, 8)
  model = mup()(initialised(from_flax(module, x), init))
  outputs = lambda w: model.apply({'params': w}, x)
  loss = lambda w: jnp.mean(jnp.square(outputs(w) - x[:, :2] * x[:, 2:4]))

  def change(w):
    stepped = jax.tree.map(lambda w, c, g: w - 0.3 * c * g, w, model.rates(False), jax.grad(loss)(w))
    return outputs(stepped) - outputs(w)

  changes = jax.jit(lambda key: jax.vmap(change)(model.init(key, None)['params']))(KEY)
  return np.sqrt(np.mean(np.square(changes)))


def test_under_mup_the_first_step_does_not_grow_with_width_however_the_net_is_written():
  widths = (32, 128, 512)
  nested = [change_of_outputs(inside_out(width)) for width in widths]
  np.testing.assert_allclose(nested, [change_of_outputs(in_order(width)) for width in widths], rtol=1e-5)
  assert nested[0] / 4 < nested[2] < 1.1 * nested[1] < 1.2 * nested[0], nested


# ---- what cannot be read, and matrices --------------------------------------------------------------------------------

odd = plain(lambda x, w, floor, unused: jnp.maximum(x @ w, floor[None]), {'w': (6, 2), 'floor': (2,), 'unused': (3, 4)})


def test_every_leaf_that_cannot_be_read_is_named_and_can_be_stated():
  with pytest.raises(ValueError, match=r'uses floor, unused cannot be read .* give roles='):
    describe(*odd, FLOATS)
  with pytest.raises(ValueError, match='uses unused cannot'):  # a weight needs fans too
    describe(*odd, FLOATS, roles={'floor': 'bias', 'unused': 'hidden'})
  stated = describe(*odd, FLOATS, roles={'*': 'hidden', 'floor': 'bias'}, fans={'unused': (3, 4), 'w': (7, 8)})
  facts = {name: (leaf.role, leaf.fan_in, leaf.fan_out) for name, leaf in stated.items()}
  assert facts == {'floor': ('bias', 1, 2), 'unused': ('hidden', 3, 4), 'w': ('hidden', 7, 8)}
  assert matrices(stated['unused'], jnp.zeros((3, 4))).shape == (1, 3, 4)


FILTERED = plain(lambda x, w: jnp.fft.irfft(jnp.fft.rfft(x) * jnp.fft.rfft(w)[None]), {'w': (6,)})
LATENT = plain(lambda x, z, q: jnp.tanh(z @ q) @ x.T, {'z': (3, 4), 'q': (4, 6)})


@pytest.mark.parametrize('model', [FILTERED, LATENT], ids=['filter in Fourier space', 'activations of parameters alone'])
def test_what_is_no_layer_is_not_guessed(model):
  with pytest.raises(ValueError, match='cannot be read'):
    describe(*model, FLOATS)


@pytest.mark.parametrize(
  ('stated', 'match'),
  [
    ({'roles': {'nothing*': 'bias'}}, "no parameter matches 'nothing\\*'; they are"),
    ({'fans': {'nothing': (1, 2)}}, "no parameter matches 'nothing'"),
    ({'roles': {'w': 'readout'}}, "role 'readout' of 'w' is none of input, hidden"),
  ],
)
def test_patterns_are_checked(stated, match):
  with pytest.raises(ValueError, match=match):
    describe(*odd, FLOATS, **stated)


@pytest.mark.parametrize(
  ('function', 'shape'),
  [
    (lambda x, w: jnp.einsum('nd,kdh->nhk', x, w), (4, 6, 5)),
    (lambda x, w: jnp.einsum('nd,hd->nh', x, w), (5, 6)),
    (lambda x, w: jnp.einsum('nab,hakb->nkh', x.reshape(3, 2, 3), w), (5, 2, 4, 3)),
  ],
)
def test_a_leaf_as_a_matrix_gives_what_the_layer_gives(function, shape):
  apply, variables = plain(function, {'w': shape})
  leaf, w, x = describe(apply, variables, FLOATS)['w'], jax.random.normal(KEY, shape), jax.random.normal(KEY, (3, 6))
  expected = np.sort(function(x, w).reshape(3, -1), axis=1)
  np.testing.assert_allclose(np.sort(x @ matrices(leaf, w)[0], axis=1), expected, rtol=1e-5, atol=1e-5)
  np.testing.assert_array_equal(from_matrices(leaf, matrices(leaf, w)), w)


def test_copies_are_matrices_of_their_own_and_a_flat_leaf_is_none():
  apply, variables = plain(lambda x, w: jnp.einsum('nld,ldh->nlh', x, w), {'w': (5, 6, 4)})
  leaf = describe(apply, variables, jnp.zeros((3, 5, 6)))['w']
  w = jax.random.normal(KEY, leaf.shape)
  np.testing.assert_array_equal(matrices(leaf, w), w)
  with pytest.raises(ValueError, match='along one axis'):
    matrices(describe(*plain(lambda x, w: x @ w.reshape(6, 4), {'w': (24,)}), FLOATS)['w'], jnp.zeros(24))
