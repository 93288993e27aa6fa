"""Residual branches read from models of many kinds, and what begins as 0 or in blocks because of them."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import inits, models, network, trees
from dynamics.inits.branches import block_numbers, branches, last_of_branches
from dynamics.types import Batch, Data

KEY = jax.random.key(0, impl='threefry2x32')


class Block(nn.Module):
  """relu between two convolutions, normalised; the skip is projected where the shape changes."""

  channels: int
  stride: int = 1

  @nn.compact
  def __call__(self, x):
    norm = lambda y: nn.BatchNorm(use_running_average=True)(y)
    y = nn.relu(norm(nn.Conv(self.channels, (3, 3), (self.stride,) * 2, use_bias=False)(x)))
    y = norm(nn.Conv(self.channels, (3, 3), use_bias=False)(y))
    if x.shape != y.shape:
      x = norm(nn.Conv(self.channels, (1, 1), (self.stride,) * 2, use_bias=False)(x))
    return nn.relu(x + y)


class Images(nn.Module):
  @nn.compact
  def __call__(self, x):
    x = Block(6, 2, name='second')(Block(4, name='first')(nn.Conv(4, (3, 3))(x)))
    return nn.Dense(3)(x.mean((1, 2)))


class Parallel(nn.Module):
  """Two branches of one input, the first of which ends in a learned scale; the sum is taken in another order."""

  @nn.compact
  def __call__(self, x):
    x = nn.Dense(6, name='input')(x)
    h = nn.LayerNorm()(x)
    one = self.param('gain', nn.initializers.ones, (6,))[None] * nn.Dense(6, name='one')(h)
    two = nn.Dense(6, name='down')(nn.gelu(nn.Dense(12, name='up')(h)))
    return nn.Dense(2, name='readout')(two + (one + x))


class Layer(nn.Module):
  @nn.compact
  def __call__(self, x, _):
    return x + nn.Dense(6, name='down')(nn.relu(nn.Dense(9, name='up')(nn.LayerNorm()(x)))), None


class Scanned(nn.Module):
  @nn.compact
  def __call__(self, x):
    layers = nn.scan(Layer, variable_axes={'params': 0}, split_rngs={'params': True}, length=3)(name='layers')
    return nn.Dense(2)(layers(nn.Dense(6)(x), None)[0])


ROWS, TOKENS, IMAGES = jnp.ones((3, 5)), jnp.arange(15, dtype=jnp.int32).reshape(3, 5) % 7, jnp.ones((2, 6, 6, 3))
transformer = lambda norm: models.transformer(4, 7, width=8, heads=2, layers=2, norm=norm)
CASES = {  # module, inputs, the last of each branch
  'plain': (models.mlp(3, widths=(8, 8), activation='gelu'), ROWS, []),
  'recurrent': (models.rnn(3, width=8), jnp.ones((2, 5, 4)), []),
  'transformer': (
    transformer('pre'),
    TOKENS,
    ['hidden_0_attention/merge/kernel', 'hidden_0_down/kernel', 'hidden_1_attention/merge/kernel', 'hidden_1_down/kernel'],
  ),
  'images': (Images(), IMAGES, ['first/BatchNorm_1/scale', 'second/BatchNorm_1/scale']),
  'parallel': (Parallel(), ROWS, ['gain', 'down/kernel']),
  'scanned': (Scanned(), ROWS, ['layers/down/kernel']),
}


def case(name):
  module, x, ends = CASES[name]
  model = network.from_flax(module, x)
  return model, Data(Batch(x, jnp.zeros(len(x), jnp.int32)), None), ends


@pytest.mark.parametrize('name', CASES)
def test_branches_end_where_the_model_adds_them(name):
  model, data, ends = case(name)
  assert [branch.last for branch in branches(model, data, model.leaves())[0]] == ends


def test_a_branch_holds_its_own_parameters_and_no_others():
  model, data, _ = case('images')
  first, second = branches(model, data, model.leaves())[0]
  assert first.weights == {f'first/{k}' for k in ('Conv_0/kernel', 'Conv_1/kernel', *norms(0), *norms(1))}
  assert second.weights == {f'second/{k}' for k in ('Conv_0/kernel', 'Conv_1/kernel', *norms(0), *norms(1))}


def norms(i):
  return f'BatchNorm_{i}/scale', f'BatchNorm_{i}/bias'


@pytest.mark.parametrize(('init', 'name'), [('hadamard', 'parallel'), *(('zero_branches', n) for n in CASES if CASES[n][2])])
def test_zero_branches_leave_a_network_as_if_it_had_none(name, init):
  """At its end a branch gives exactly 0: other weights inside of it change no output, and those outside do."""
  model, data, ends = case(name)
  variables = jax.jit(network.initialised(model, getattr(inits, init)()).init)(KEY, data)
  each, _ = branches(model, data, model.leaves())
  inside = frozenset().union(*(branch.weights for branch in each)) - {*ends}

  @jax.jit
  def outputs(by_inside, by_outside):
    def moved(path, w):
      name = trees.path(path)
      return w if name in ends else w * (by_inside if name in inside else by_outside)

    params = jax.tree_util.tree_map_with_path(moved, variables['params'])
    return model.apply({**variables, 'params': params}, data.train.x)

  start = outputs(1.0, 1.0)
  np.testing.assert_array_equal(start, outputs(-3.0, 1.0))
  assert not np.allclose(start, outputs(1.0, 0.5))
  named = trees.by_path(variables['params'])
  assert all((np.asarray(named[end]) == 0).all() for end in ends)


def test_zero_branches_need_branches_and_data_to_trace():
  model, data, _ = case('plain')
  with pytest.raises(ValueError, match='needs residual branches that end in a weight or a scale, but this model has none'):
    network.initialised(model, inits.zero_branches()).init(KEY, data)
  with pytest.raises(ValueError, match='read from a trace of the model on the data, but there are no data'):
    network.initialised(model, inits.zero_branches()).init(KEY, None)


def test_layer_index_rescaling_follows_the_blocks():
  """2503.17500: the l-th block at std / sqrt(l), and what is outside of blocks at std."""
  model, data, _ = case('transformer')
  numbers = block_numbers(model, data, model.leaves(), 2)
  assert {name.split('_')[1] for name, l in numbers.items() if l == 1} == {'0'}
  assert {name.split('_')[1] for name, l in numbers.items() if l == 2} == {'1'}
  wide = network.from_flax(models.transformer(4, 7, width=64, heads=2, layers=2), TOKENS)
  params = trees.by_path(jax.jit(network.initialised(wide, inits.lir(init_std=0.1)).init)(KEY, data)['params'])
  for name, l in {
    'hidden_0_up/kernel': 1,
    'hidden_1_up/kernel': 2,
    'hidden_1_attention/query/kernel': 2,
    'input/embedding': 1,
  }.items():
    w = np.asarray(params[name]) * l**0.5 / 0.1
    assert abs((w**2).mean() - 1) < 5 * (2 / w.size) ** 0.5, name
  chain, data, _ = case('plain')
  assert [*block_numbers(chain, data, chain.leaves(), 2).values()] == [1, 2, 3]
  scanned, data, _ = case('scanned')
  with pytest.raises(ValueError, match=r'layers/\w+/kernel \(3, \d, \d\) holds the weights of several blocks in one array'):
    network.initialised(scanned, inits.lir()).init(KEY, data)


def test_ends_are_found_without_names():
  """The same network with other names and the sum the other way round."""

  class Other(nn.Module):
    @nn.compact
    def __call__(self, x):
      x = nn.Dense(4, name='zzz')(x)
      return nn.Dense(2, name='first')(nn.Dense(4, name='readout')(jnp.tanh(nn.Dense(4, name='aaa')(x))) + x)

  model = network.from_flax(Other(), ROWS)
  assert last_of_branches(model, Data(Batch(ROWS, None), None), model.leaves()) == {'readout/kernel'}
