"""Inits fitted to data: spreads of layers and units, read independently of the init, in networks of many kinds."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import inits, models, network, trees
from dynamics.types import Batch, Data

KEY = jax.random.key(0, impl='threefry2x32')
rng = np.random.default_rng(0)
ROWS = jnp.asarray(3 * rng.normal(size=(40, 6)) + 1, jnp.float32)
IMAGES = jnp.asarray(rng.normal(size=(12, 6, 6, 3)) + 0.5, jnp.float32)
TOKENS = jnp.asarray(rng.integers(0, 7, (40, 5)), jnp.int32)


class Images(nn.Module):
  """Strided, grouped and dilated convolutions with a skip, then a dense layer."""

  @nn.compact
  def __call__(self, x):
    x = nn.relu(nn.Conv(4, (3, 3), (2, 2))(x))
    x = x + jnp.tanh(nn.Conv(4, (3, 3), feature_group_count=2)(x))
    return nn.Dense(3)(nn.Conv(5, (2, 2), kernel_dilation=2)(x).reshape((x.shape[0], -1)))


class Attention(nn.Module):
  @nn.compact
  def __call__(self, x):
    h = nn.Embed(7, 8)(x)
    h = h + nn.MultiHeadDotProductAttention(2)(nn.LayerNorm()(h))
    return nn.Dense(3)(nn.gelu(nn.Dense(9)(h)).mean(1))


class Normal(nn.Module):
  """Weights that are normalised before their use, so that their scale changes nothing."""

  @nn.compact
  def __call__(self, x):
    w = self.param('w', nn.initializers.normal(), (6, 3))
    return x @ (w / jnp.linalg.norm(w, axis=0, keepdims=True))


CASES = {
  'dense': (models.mlp(3, widths=(20, 20, 20), activation='tanh'), ROWS),
  'images': (Images(), IMAGES),
  'attention': (Attention(), TOKENS),
  'transformer': (models.transformer(4, 7, width=8, heads=2, layers=1), TOKENS),
}


def started(name, init):
  """(model, variables) of a compiled start, and the outputs of every flax layer with parameters, before any activation."""
  module, x = CASES[name]
  model = network.initialised(network.from_flax(module, x), init)
  data = Data(Batch(x, None), None)
  variables = jax.jit(lambda key: model.init(key, data))(KEY)
  _, state = module.apply(variables, x, capture_intermediates=lambda m, _: isinstance(m, LAYERS), mutable=['intermediates'])
  named, call = trees.by_path(state['intermediates']), '/__call__/0'
  outputs = {name.removesuffix(call): np.asarray(v) for name, v in named.items() if name.endswith(call)}
  return variables, outputs


LAYERS = nn.Dense | nn.Conv | nn.DenseGeneral | nn.Embed


@pytest.mark.parametrize('name', CASES)
def test_lsuv_gives_every_layer_unit_variance(name):
  """1511.06422: the standard deviation is 1 where it was not within the tolerance, and else what it was."""
  _, drawn = started(name, inits.orthogonal())
  for tolerance in (0.0, 0.1) if name == 'dense' else (0.0,):
    variables, outputs = started(name, inits.lsuv(tolerance=tolerance))
    assert len(outputs) >= 4
    for layer, z in outputs.items():
      assert abs(z.std() - 1) < max(tolerance, 1e-4), layer
  assert max(abs(z.std() - 1) for z in drawn.values()) > 0.2  # the control
  named = trees.by_path(variables['params'])
  assert all((np.asarray(w) == 0).all() for path, w in named.items() if path.endswith('bias'))


@pytest.mark.parametrize('name', CASES)
def test_unit_normalised_units_have_mean_zero_and_their_spread(name):
  """1602.07868: every unit's t has mean 0 and standard deviation 1 on the batch; without a bias the mean stays."""
  _, outputs = started(name, inits.unit_normalised(init_scale=2.0))
  biased = {path.rpartition('/')[0] for path in trees.by_path(network.from_flax(*CASES[name]).leaves()) if path.endswith('bias')}
  for layer, z in outputs.items():
    features = z.ndim - (2 if layer.split('/')[-1] in ('query', 'key', 'value') and z.ndim == 4 else 1)
    axes = tuple(range(features))
    np.testing.assert_allclose(z.std(axes), 2, rtol=2e-3, err_msg=layer)
    if layer in biased:
      np.testing.assert_allclose(z.mean(axes), 0, atol=1e-4, err_msg=layer)


@pytest.mark.parametrize('init', ['lsuv', 'unit_normalised'])
def test_members_fit_their_own_draws_as_they_would_alone(init):
  model = network.initialised(network.from_flax(*CASES['dense']), getattr(inits, init)(examples=16))
  start = lambda key, x: model.init(key, Data(Batch(x, None), None))['params']
  keys = jax.random.split(KEY, 3)
  together = jax.jit(jax.vmap(start, (0, None)))(keys, ROWS)
  alone = start(keys[1], ROWS[:16])  # what is beyond `examples` is not seen
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a[1], b, rtol=2e-4, atol=1e-6), together, alone)


def test_half_precision_is_fitted_to_its_rounding():
  class Half(nn.Module):
    @nn.compact
    def __call__(self, x):
      dense = lambda n: nn.Dense(n, dtype=jnp.bfloat16, param_dtype=jnp.bfloat16)
      return dense(3)(nn.relu(dense(16)(x)))

  x = ROWS.astype(jnp.bfloat16)
  for init in (inits.lsuv(tolerance=0.0), inits.unit_normalised()):
    model = network.initialised(network.from_flax(Half(), x), init)
    variables = jax.jit(model.init)(KEY, Data(Batch(x, None), None))
    assert variables['params']['Dense_0']['kernel'].dtype == jnp.bfloat16
    np.testing.assert_allclose(np.asarray(model.apply(variables, x), np.float32).std(), 1, atol=0.06)


def test_what_cannot_be_fitted_is_refused_with_its_path_and_shape():
  def refused(module, x, init, text, data=True):
    model = network.initialised(network.from_flax(module, x), init)
    with pytest.raises(ValueError, match=text):
      model.init(KEY, Data(Batch(x, None), None) if data else None)

  dense, x = CASES['dense']
  refused(dense, x, inits.lsuv(), 'fitted to what they give on the data, but there are no data', data=False)
  for init in (inits.lsuv(), inits.unit_normalised()):
    refused(dense, 0 * x, init, r'input/kernel \(6, 20\) gives outputs without spread on these data')
    refused(models.rnn(2, width=4), IMAGES[:, 0, :, :2], init, r'kernel \(\d, 4\) is used inside of a loop \(scan\)')
    refused(Normal(), x, init, r'the layer of w \(6, 3\) is not linear in it')
