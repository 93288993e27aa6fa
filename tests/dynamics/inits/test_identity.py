"""Inits of zeros and ones: their patterns against loops, and the maps of networks that begin as the identity."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import inits, models, network, trees
from dynamics.inits.identity import copies, expansion
from dynamics.types import Batch, Data

KEY = jax.random.key(0, impl='threefry2x32')
X = jnp.asarray(np.random.default_rng(0).normal(size=(4, 6)), jnp.float32)


def start(module, init, x=X):
  model = network.initialised(network.from_flax(module, x), init)
  return model, jax.jit(model.init)(KEY, Data(Batch(x, None), None))


def sylvester(m):
  return np.array([[1]]) if m == 0 else np.kron([[1, 1], [1, -1]], sylvester(m - 1))


@pytest.mark.parametrize(('rows', 'columns'), [(6, 6), (6, 3), (3, 5), (5, 8), (6, 16), (1, 1), (1, 7)])
def test_patterns_are_those_of_the_papers(rows, columns):
  if columns <= rows:
    np.testing.assert_array_equal(expansion(rows, columns), np.eye(rows, columns))
  else:
    m = int(np.ceil(np.log2(columns)))
    np.testing.assert_allclose(expansion(rows, columns), sylvester(m)[:rows, :columns] / 2 ** (m / 2), rtol=1e-6)
  least = min(rows, columns)
  np.testing.assert_array_equal(copies(rows, columns), [[i % least == j % least for j in range(columns)] for i in range(rows)])


def test_an_expansion_to_a_power_of_two_keeps_norms():
  w = np.asarray(expansion(6, 16), np.float64)
  np.testing.assert_allclose(w @ w.T, np.eye(6), atol=1e-6)


@pytest.mark.parametrize('init', ['identity', 'hadamard', 'padded_identity'])
def test_a_square_linear_network_is_the_identity(init):
  model, variables = start(models.linear(6, widths=(6, 6)), getattr(inits, init)())
  np.testing.assert_array_equal(model.apply(variables, X), X)


@pytest.mark.parametrize('init', ['identity', 'padded_identity'])
def test_a_convolutional_network_and_attention_map_pixels_and_tokens_to_themselves(init):
  """Convolutions at odd and even windows; attention over equal tokens, whose mean each of them is."""

  class Pixels(nn.Module):
    @nn.compact
    def __call__(self, x):
      return nn.Conv(6, (2, 4))(nn.Conv(6, (3, 3))(x))

  images = jnp.asarray(np.random.default_rng(1).normal(size=(2, 5, 5, 6)), jnp.float32)
  model, variables = start(Pixels(), getattr(inits, init)(), images)
  np.testing.assert_array_equal(model.apply(variables, images), images)
  tokens = jnp.broadcast_to(X[:, None], (4, 3, 6))
  model, variables = start(nn.MultiHeadDotProductAttention(2), getattr(inits, init)(), tokens)
  np.testing.assert_allclose(model.apply(variables, tokens), tokens, rtol=1e-5)


def test_what_is_not_square_is_padded_cut_or_repeated():
  wide = models.linear(3, widths=(12,))
  for init, first in (('identity', np.eye(6, 12)), ('padded_identity', np.tile(np.eye(6), 2))):
    _, variables = start(wide, getattr(inits, init)(init_scale=2.0))
    np.testing.assert_array_equal(variables['params']['input']['kernel'], 2 * first)
  model, variables = start(wide, inits.identity())
  np.testing.assert_array_equal(model.apply(variables, X), X[:, :3])


def test_branches_begin_near_zero_in_idinit_and_the_network_is_then_nearly_the_identity():
  class Deep(nn.Module):
    @nn.compact
    def __call__(self, x):
      for _ in range(3):
        x = x + nn.Dense(6)(nn.relu(nn.Dense(12)(x)))
      return nn.Dense(6)(x)

  for scale, size in ((1e-6, 1e-6), (0.5, 0.5)):
    model, variables = start(Deep(), inits.padded_identity(branch_scale=scale))
    np.testing.assert_allclose(trees.by_path(variables['params'])['Dense_0/kernel'].max(), size)
    assert (np.abs(model.apply(variables, X) - X).max() < 1e-4) == (scale == 1e-6)


def test_nothing_is_drawn_and_scales_are_traced():
  draw = lambda key, scale: start(models.mlp(4, widths=(8,)), inits.hadamard(init_scale=scale))[1]['params']
  one, two = (draw(jax.random.key(i), 1.0) for i in (0, 1))
  jax.tree.map(np.testing.assert_array_equal, one, two)
  both = jax.vmap(draw, (None, 0))(KEY, jnp.asarray([1.0, 3.0]))
  np.testing.assert_allclose(both['input']['kernel'][1], 3 * np.asarray(one['input']['kernel']), rtol=1e-6)


@pytest.mark.parametrize(
  ('init', 'width', 'low', 'high'),
  [
    ('identity', 16, 1, 6),
    ('identity', 32, 1, 6),
    ('hadamard', 16, 7, 10),  # its columns repeat after 8, and the readout tells the first 2 apart
    ('hadamard', 32, 7, 10),
    ('padded_identity', 16, 1, 6),  # 2 outputs read copies of 6 inputs alike
    ('gaussian', 32, 11, 32),
  ],
)
def test_what_a_square_hidden_layer_learns_has_the_rank_that_the_symmetry_of_the_start_leaves(wide, init, width, low, high):
  """Minibatches of a relu network 6 - 6 - h - h - 2 in float64."""
  rng = np.random.default_rng(2)
  model, variables = start(models.mlp(2, widths=(6, width, width), bias=False), getattr(inits, init)())
  first = jax.tree.map(lambda w: w.astype(jnp.float64), variables['params'])
  x, y = jnp.asarray(rng.normal(size=(60, 8, 6))), jnp.asarray(rng.normal(size=(60, 8, 2)))

  def step(params, batch):
    loss = lambda w: jnp.mean(jnp.square(model.apply({'params': w}, batch[0]) - batch[1]))
    return jax.tree.map(lambda w, g: w - 0.1 * g, params, jax.grad(loss)(params)), None

  last, _ = jax.jit(lambda params: jax.lax.scan(step, params, (x, y)))(first)
  rank = np.linalg.matrix_rank(np.asarray(last['hidden_2']['kernel'] - first['hidden_2']['kernel']), tol=1e-10)
  assert low <= rank <= high
