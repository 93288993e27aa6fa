"""Permuted networks against brute force, scipy's assignment, and themselves."""

import functools
import itertools

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

from dynamics import losses, matching, models, network, transforms, trees
from dynamics.matching import matched, permuted
from dynamics.probes.landscape import barrier
from dynamics.types import Batch

rng = np.random.default_rng(5)
PIXELS = jnp.asarray(rng.normal(size=(6, 5, 4, 2)), jnp.float32)
TOKENS = jnp.asarray(rng.integers(0, 7, (6, 3)), jnp.int32)


class Unnamed(nn.Module):
  """flax's own names, which do not tell to which layer a norm belongs; two positions are flattened."""

  @nn.compact
  def __call__(self, x, train):
    x = nn.relu(nn.Dense(5)(x.reshape(x.shape[0], 2, -1)))
    x = nn.BatchNorm(use_running_average=not train, dtype=jnp.float32)(x)
    return nn.Dense(3)(nn.tanh(nn.Dense(6)(x.reshape(x.shape[0], -1))))


NAMES = (('Dense_0/*', 'BatchNorm_0/*'), ('Dense_2/*',), ('Dense_1/*',))  # flax counts from the outside
NETWORKS = {  # module, inputs, transforms, layers
  'tokens': (models.mlp(widths=(8,), bias=False, outputs=3, vocabulary=7), TOKENS, (), None),
  'normalised': (models.normalised_mlp(widths=(6, 5), activation='tanh', outputs=3), PIXELS, (), None),
  'conv': (models.conv(channels=(4, 6), strides=(1, 2), outputs=3), PIXELS, (), None),
  'factors': (models.factorisation(width=6, symmetric=False, outputs=1), PIXELS[..., 0], (), None),
  'tangent': (models.mlp(widths=(9, 7), outputs=3), PIXELS, (transforms.linearised, transforms.centred), None),
  'unnamed': (Unnamed(), PIXELS, (), NAMES),
}
WIDTHS = {'tokens': (8,), 'normalised': (6, 5), 'conv': (4, 6), 'factors': (6,), 'tangent': (9, 7), 'unnamed': (5, 6)}


def network_of(name, count=1):
  """(apply, x, layers, variables with `count` members), all of whose leaves are random."""
  module, x, chosen, layers = NETWORKS[name]
  rng = np.random.default_rng(5)  # the same alone as among the other tests
  model = network.from_flax(module, x)
  for transform in chosen:
    model = transform()(model)
  shapes = jax.eval_shape(lambda: network.begun(model.init(jax.random.key(0), None)))
  shapes = {
    name: tree for name, tree in shapes.items() if name in (('params', 'initial') if chosen else ('params', 'batch_stats'))
  }
  sign = lambda v: 1 if v.ndim < 2 else rng.choice([-1, 1], (count, *v.shape))  # a vector may be a variance
  draw = lambda v: (sign(v) * rng.uniform(0.5, 2, (count, *v.shape))).astype(v.dtype)  # numpy, whose slices cost no compiling
  return model.apply, x, layers, jax.tree.map(draw, shapes)


def pick(variables, i):
  return jax.tree.map(lambda v: v[i], variables)


@functools.cache
def small(widths=(4, 5), count=1):
  """(search for the nearest order, reordering, networks on the host) of an mlp of 3 inputs and 2 outputs."""
  module, x = models.mlp(widths=widths, outputs=2), np.zeros((1, 3), np.float32)
  draw = jax.jit(jax.vmap(lambda key: module.init(key, x)))
  networks = jax.device_get(draw(jax.random.split(jax.random.key(2), count)))
  search = jax.jit(lambda one, two: matched(module.apply, one, two, x))
  return search, lambda one, orders: permuted(module.apply, one, x, orders), [pick(networks, i) for i in range(count)]


def away(one, two) -> float:
  """The distance of two networks' parameters, in float64."""
  pairs = zip(jax.tree.leaves(one['params']), jax.tree.leaves(two['params']), strict=True)
  return sum(np.sum((np.asarray(a, np.float64) - np.asarray(b, np.float64)) ** 2) for a, b in pairs) ** 0.5


@pytest.mark.parametrize('name', NETWORKS)
def test_order_changes_no_function_and_matching_undoes_it_to_the_bit(name):
  """Every leaf of every collection is moved; and of two networks of other weights the distance falls."""
  apply, x, layers, both = network_of(name, 2)
  one, other = pick(both, 0), pick(both, 1)
  orders = [rng.permutation(n) for n in WIDTHS[name]]
  two = permuted(apply, one, x, orders, layers)
  forward = jax.jit(apply)
  same = lambda a, b: np.testing.assert_allclose(forward(a, x), forward(b, x), atol=1e-4 * np.abs(forward(b, x)).max())
  same(two, one)
  for leaf, v in trees.by_path(one).items():
    still = np.array_equal(v, trees.by_path(two)[leaf])
    assert still == (v.ndim == 0 or leaf.endswith(('readout/bias', 'Dense_1/bias'))), leaf
  search = jax.jit(jax.vmap(lambda two: matched(apply, one, two, x, layers=layers)))
  stacked = lambda *networks: jax.tree.map(lambda *v: np.stack(v), *networks)
  both_matched = jax.device_get(search(stacked(two, other)))
  near = pick(both_matched, 1)
  chex.assert_trees_all_equal(pick(both_matched, 0), one)
  same(near, other)
  assert away(one, near) < away(one, other)
  if name == 'normalised':
    chex.assert_trees_all_equal(matched(apply, one, other, x), near)  # compiled and mapped, or called by itself
  chex.assert_trees_all_equal(pick(jax.device_get(search(stacked(near, one))), 0), near)  # there is nothing left to gain


def test_one_hidden_layer_has_the_best_of_all_orders():
  search, reordered, networks = small(widths=(4,), count=6)
  for one, two in itertools.pairwise(networks):
    best = min(away(one, reordered(two, [np.array(order)])) for order in itertools.permutations(range(4)))
    np.testing.assert_allclose(away(one, search(one, two)), best, rtol=1e-6)


def test_two_hidden_layers_end_where_no_layer_can_gain_alone_and_a_diverged_network_stays_as_it_is():
  """Brute force over each layer's orders in turn, the other's held."""
  search, reordered, (one, two) = small(count=2)
  near = jax.device_get(search(one, two))
  for layer, n in enumerate((4, 5)):
    for order in itertools.permutations(range(n)):
      orders = [np.arange(4), np.arange(5)]
      orders[layer] = np.array(order)
      assert away(one, reordered(near, orders)) >= away(one, near) * (1 - 1e-6)
  lost = jax.tree.map(lambda v: v * np.float32(np.nan), one)
  chex.assert_trees_all_equal(jax.device_get(search(one, lost)), lost)


def test_assignments_are_those_of_scipy():
  for n in (4, 40):
    gains = rng.normal(size=(5, n, n)).astype(np.float32)
    gains[0] = np.round(gains[0])  # ties
    assign = jax.jit(matching._assignment)
    for gain in gains:
      order = jax.device_get(assign(gain))
      np.testing.assert_array_equal(np.sort(order), np.arange(n))
      best = gain[scipy.optimize.linear_sum_assignment(gain, maximize=True)].sum()
      np.testing.assert_allclose(gain[np.arange(n), order].sum(), best, rtol=1e-5)
    for bad in (np.nan, np.inf, 0.0):
      np.testing.assert_array_equal(np.sort(assign(np.full((n, n), bad, np.float32))), np.arange(n))


@pytest.mark.parametrize('dtype', ['float64', 'bfloat16'])
def test_matching_in_other_dtypes(dtype, wide):
  module, x = models.mlp(widths=(4,), outputs=2), np.zeros((1, 3), dtype)
  _, _, networks = small(widths=(4,), count=6)
  one, two = (jax.tree.map(lambda v: v.astype(dtype), network) for network in networks[:2])
  search = jax.jit(lambda two: matched(module.apply, one, two, x))
  moved = permuted(module.apply, one, x, [rng.permutation(4)])
  chex.assert_type(moved['params']['input']['kernel'], x.dtype)
  chex.assert_trees_all_equal(jax.device_get(search(moved)), one)
  assert away(one, search(two)) < away(one, two)


class Skip(nn.Module):
  @nn.compact
  def __call__(self, x):
    x = nn.Dense(5)(x)
    x = x + nn.relu(nn.Dense(5)(x))
    return nn.Dense(2)(x)


REFUSED = [
  (models.rnn(width=5, outputs=2), jnp.zeros((1, 4, 3)), 'input/kernel.*recurrent/kernel, changes what the network gives'),
  (models.transformer(width=8, heads=2, norm='none', outputs=2), jnp.zeros((1, 3, 4)), 'a chain of layers'),
  (models.transformer(width=8, heads=2, outputs=2, vocabulary=7), TOKENS, 'a chain of layers|cannot tell'),
  (models.patchwise(outputs=1), jnp.zeros((1, 3, 4)), 'no hidden units'),
  (models.linear(outputs=2), jnp.zeros((1, 3)), 'no hidden units'),
  (models.factorisation(outputs=1), jnp.zeros((1, 3, 3)), 'no hidden units'),
  (Unnamed(), PIXELS, r'cannot tell the layer of BatchNorm_0/mean; give layers='),
  (Skip(), jnp.zeros((1, 3)), 'Dense_0/kernel.*Dense_1/kernel, changes what the network gives'),
]


@pytest.mark.parametrize(('module', 'x', 'match'), REFUSED, ids=lambda v: type(v).__name__ if isinstance(v, nn.Module) else '')
def test_what_is_no_chain_is_refused_while_tracing(module, x, match):
  model = network.from_flax(module, x)
  variables = jax.eval_shape(lambda: model.init(jax.random.key(0), None))
  with pytest.raises(ValueError, match=match):
    jax.eval_shape(lambda one, two: matched(model.apply, one, two, x), variables, variables)


def test_wrong_layers_and_shapes_are_refused():
  module, x = models.mlp(widths=(5, 5), outputs=2), jnp.zeros((1, 3))
  key, apply = jax.random.key(0), module.apply
  one, other = (jax.eval_shape(m.init, key, x) for m in (module, models.mlp(widths=(5, 6), outputs=2)))
  matched = lambda apply, one, two, x, **more: jax.eval_shape(lambda *v: matching.matched(apply, *v, x, **more), one, two)
  with pytest.raises(ValueError, match='two networks of the same shapes'):
    matched(apply, one, other, x)
  with pytest.raises(ValueError, match=r'each layer has one kernel'):
    matched(apply, one, one, x, layers=(('input/*', 'hidden_1/*'), ('readout/*',)))
  with pytest.raises(ValueError, match=r'cannot tell the layer of hidden_1/bias'):
    matched(apply, one, one, x, layers=(('input/*',), ('hidden_1/kernel',), ('readout/*',)))
  with pytest.raises(ValueError, match=r'changes what the network gives'):  # the biases of equal widths, exchanged
    matched(apply, one, one, x, layers=(('input/kernel', 'hidden_1/bias'), ('hidden_1/kernel', 'input/bias'), ('readout/*',)))


def test_the_barrier_after_matching_is_that_of_the_matched_network():
  """None between a network and itself in another order, where there is one as it stands."""
  apply, x, _, networks = network_of('tokens', 2)
  one, other = pick(networks, 0), pick(networks, 1)
  loss, batch = losses.cross_entropy(), Batch(x, losses.predict(jax.jit(apply)(one, x)))  # both ends know all labels
  bars = {match: jax.jit(lambda two, match=match: barrier(apply, loss, one, two, batch, 5, match=match)) for match in (0, 1)}
  bar = lambda two, match=False: bars[match](two)
  two = permuted(apply, one, x, [np.arange(8)[::-1]])
  assert bar(two) > 0.01
  np.testing.assert_allclose(bar(two, match=True), 0, atol=1e-6)
  np.testing.assert_allclose(bar(other, match=True), bar(jax.jit(lambda other: matched(apply, one, other, x))(other)), rtol=1e-5)
