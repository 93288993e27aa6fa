"""Virgo's variances against a dense formula in numpy, and networks that begin with them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import data, inits, models, network, trees
from dynamics.theory import message_passing
from dynamics.types import Batch, Data

KEY = jax.random.key(0, impl='threefry2x32')
GRAPHS = data.graphs(number=2, nodes=40, classes=3, degree=4, inputs=6, train=10).draw(KEY)
WIDTHS = (6, 50, 30, 3)


def oracle(x, widths):
  """(forward, backward) in float64, by powers of a matrix and the sums of the paper."""
  nodes, adjacency = (np.asarray(x[name], np.float64) for name in ('nodes', 'adjacency'))
  count, layers = nodes.shape[0] * nodes.shape[1], len(widths) - 1
  whole = np.zeros((count, count))  # all graphs as one
  for i, a in enumerate(adjacency):
    place = slice(i * a.shape[0], (i + 1) * a.shape[0])
    whole[place, place] = a
  looped = whole + np.eye(count)
  degree = looped.sum(1)
  p = looped / np.sqrt(np.outer(degree, degree))
  mean = nodes.reshape(count, -1).mean(1)
  size = lambda z, hops: float(np.sum((np.linalg.matrix_power(p, hops) @ z) ** 2))
  forward, backward = [], []
  for l in range(1, layers + 1):
    forward.append(2 / widths[l - 1] * (size(mean, l - 1) / size(mean, l) if l > 1 else 1))
    rest, one = layers - l, np.ones(count)
    backward.append(2 / widths[l] * size(one, rest) / size(one, rest + 1) if rest else count / ((widths[-1] - 1) * size(one, 1)))
  return np.array(forward), np.array(backward)


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
def test_the_variances_are_those_of_the_dense_formula_under_vmap(dtype):
  with jax.enable_x64(dtype == 'float64'):
    x = {name: jnp.asarray(np.asarray(value), dtype) for name, value in GRAPHS.train.x.items()}
    stack = {name: jnp.stack([value, value[::-1]]) for name, value in x.items()}
    stack['nodes'] = stack['nodes'].at[1].add(jnp.asarray(0.5, dtype))
    stack['adjacency'] = stack['adjacency'].at[1, 0, 7].set(0).at[1, 0, :, 7].set(0)  # a node without an edge
    both = jax.jit(jax.vmap(lambda x: message_passing.virgo(x['adjacency'], x['nodes'], WIDTHS)))(stack)
    for i in (0, 1):
      forward, backward = oracle({name: value[i] for name, value in stack.items()}, WIDTHS)
      rtol = 1e-10 if dtype == 'float64' else 1e-5
      np.testing.assert_allclose(both.forward[i], forward, rtol=rtol)
      np.testing.assert_allclose(both.backward[i], backward, rtol=rtol)
      np.testing.assert_allclose(both.harmonic[i], 2 / (1 / forward + 1 / backward), rtol=rtol)


def model_of(maker=models.node_gcn, **fields):
  return network.from_flax(maker(3, widths=(50, 30), **fields), GRAPHS.train.x)


@pytest.mark.parametrize('variant', ['harmonic', 'forward', 'backward'])
def test_weights_are_uniform_with_these_variances_and_biases_are_zero(variant):
  model = network.initialised(model_of(), inits.virgo(variant=variant, init_scale=2.0))
  params = trees.by_path(jax.jit(model.init)(KEY, GRAPHS)['params'])
  forward, backward = oracle(GRAPHS.train.x, WIDTHS)
  variances = {'forward': forward, 'backward': backward, 'harmonic': 2 / (1 / forward + 1 / backward)}[variant]
  for name, variance in zip(('input', 'hidden_1', 'readout'), variances, strict=True):
    w = np.asarray(params[f'{name}/kernel'], np.float64)
    assert np.abs(w).max() <= 2 * np.sqrt(3 * variance) * (1 + 1e-6)
    np.testing.assert_allclose(w.var(), 4 * variance, rtol=0.2)
    assert not params[f'{name}/bias'].any()


def test_a_node_gcn_is_the_formula_and_its_readout_passes_messages():
  model = model_of(activation='tanh')
  variables = model.init(KEY, None)
  w = {path: np.asarray(value, np.float64) for path, value in trees.by_path(variables['params']).items()}
  for i in range(2):
    looped = np.asarray(GRAPHS.train.x['adjacency'][i], np.float64) + np.eye(40)
    p, h = looped / np.sqrt(np.outer(looped.sum(1), looped.sum(1))), np.asarray(GRAPHS.train.x['nodes'][i], np.float64)
    for name in ('input', 'hidden_1'):
      h = np.tanh(p @ h @ w[f'{name}/kernel'] + w[f'{name}/bias'])
    expected = p @ h @ w['readout/kernel'] + w['readout/bias']
    np.testing.assert_allclose(model.apply(variables, GRAPHS.train.x)[i], expected, rtol=1e-4, atol=1e-5)


EMPTY = {'nodes': jnp.zeros((2, 40, 6)), 'adjacency': GRAPHS.train.x['adjacency']}


@pytest.mark.parametrize(
  ('maker', 'drawn', 'sentence'),
  [
    (models.node_gcn, None, 'virgo looks at graphs, .* but there are no data'),
    (models.gcn, GRAPHS, r'an answer at each node, such as node_gcn, but the model gives \(2, 3\)'),
    (models.node_gcn, GRAPHS._replace(train=Batch(EMPTY, None)), 'after 3 layers nothing is left of the mean features'),
  ],
)
def test_what_virgo_cannot_take_is_a_sentence(maker, drawn, sentence):
  with pytest.raises(ValueError, match=sentence):
    network.initialised(model_of(maker), inits.virgo()).init(KEY, drawn)


def test_a_network_that_reads_no_graphs_is_refused():
  rows = jnp.ones((4, 6))
  model = network.initialised(network.from_flax(models.mlp(3, widths=(5,)), rows), inits.virgo())
  with pytest.raises(ValueError, match=r'virgo looks at graphs, .* but the inputs are \(4, 6\)'):
    model.init(KEY, Data(Batch(rows, None), None))
