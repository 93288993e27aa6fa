"""Residual, coordinate and graph networks against formulas written out, and the leaves that are read off them."""

import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import leaves, models, network, trees

KEY = jax.random.key(0, impl='threefry2x32')
X = jax.random.normal(jax.random.key(1), (3, 4))


def drawn(module, x):
  """(model, variables with parameters that are all away from their start, numpy values by path)."""
  model = network.from_flax(module, x)
  variables = jax.jit(lambda key: model.init(key, None))(KEY)
  shift = np.random.default_rng(5)
  params = jax.tree.map(lambda w: w + jnp.asarray(0.3 * shift.normal(size=w.shape), w.dtype), variables['params'])
  return model, {**variables, 'params': params}, {path: np.asarray(w, np.float64) for path, w in trees.by_path(params).items()}


def dense(w, path, h):
  return h @ w[f'{path}/kernel'] + w[f'{path}/bias']


def layer_norm(w, path, h):
  mean, var = h.mean(-1, keepdims=True), h.var(-1, keepdims=True)
  return (h - mean) / np.sqrt(var + 1e-6) * w[f'{path}/scale'] + w[f'{path}/bias']


@pytest.mark.parametrize('norm', ['none', 'layer'])
def test_a_residual_network_is_the_formula_and_shows_the_stream_after_each_block(norm):
  model, variables, w = drawn(models.residual(2, depth=2, width=5, layers=2, multiplier=0.5, activation='tanh', norm=norm), X)
  normed = lambda path, h: layer_norm(w, path, h) if norm == 'layer' else h
  h = dense(w, 'input', np.asarray(X, np.float64))
  stream = {'after_input': h}
  for i in range(2):
    branch = h
    for j in range(2):
      branch = dense(w, f'block_{i}/layer_{j}', np.tanh(normed(f'block_{i}/norm_{j}', branch)))
    h = stream[f'after_block_{i}'] = h + 0.5 * branch
  outputs, trace = model.forward(variables, X)
  np.testing.assert_allclose(outputs, dense(w, 'readout', np.tanh(normed('norm', h))), rtol=1e-4, atol=1e-5)
  assert list(trace.features) == list(stream)
  for name, value in stream.items():
    np.testing.assert_allclose(trace.features[name], value, rtol=1e-4, atol=1e-5)


def test_stacked_blocks_are_the_same_function_with_one_leaf_for_all_blocks():
  fields = dict(depth=3, width=5, activation='tanh', norm='layer')
  model, variables, _ = drawn(models.residual(2, **fields), X)
  stacked = network.from_flax(models.residual(2, **fields, stacked=True), X)
  params = dict(variables['params'])
  blocks = [params.pop(f'block_{i}') for i in range(3)]
  params['blocks'] = jax.tree.map(lambda *w: jnp.stack(w), *blocks)
  assert jax.tree.map(jnp.shape, jax.eval_shape(stacked.init, KEY, None)['params']) == jax.tree.map(jnp.shape, params)
  (a, seen), (b, shown) = model.forward(variables, X), stacked.forward({'params': params}, X)
  np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
  assert list(seen.features) == list(shown.features)
  np.testing.assert_allclose(seen.features['after_block_1'], shown.features['after_block_1'], rtol=1e-5, atol=1e-6)


ROLES = [
  (
    models.residual(2, depth=2, width=5),
    X,
    {
      'input': ('input', 4, 5),
      'block_0/layer_0': ('hidden', 5, 5),
      'block_1/layer_0': ('hidden', 5, 5),
      'readout': ('output', 5, 2),
    },
  ),
  (
    models.residual(2, depth=2, width=5, norm='layer', stacked=True),
    X,
    {'input': ('input', 4, 5), 'blocks/layer_0': ('hidden', 5, 5), 'readout': ('output', 5, 2)},
  ),
  (
    models.residual(2, depth=1, width=3, window=2),
    jnp.ones((2, 3, 3, 1)),
    {'input': ('input', 4, 3), 'block_0/layer_0': ('hidden', 12, 3), 'readout': ('output', 3, 2)},
  ),
  (
    models.coordinates(2, widths=(5, 6), features='fourier', waves=7),
    X,
    {'input': ('input', 14, 5), 'hidden_1': ('hidden', 5, 6), 'readout': ('output', 6, 2)},
  ),
  (
    models.coordinates(2, widths=(5, 6)),
    X,
    {'input': ('input', 4, 5), 'hidden_1': ('hidden', 5, 6), 'readout': ('output', 6, 2)},
  ),
  (
    models.gcn(2, widths=(5, 6)),
    {'nodes': jnp.ones((2, 3, 4)), 'adjacency': jnp.ones((2, 3, 3))},
    {'input': ('input', 4, 5), 'hidden_1': ('hidden', 5, 6), 'readout': ('output', 6, 2)},
  ),
]


@pytest.mark.parametrize(('module', 'x', 'expected'), ROLES)
def test_roles_and_fans(module, x, expected):
  described = leaves.weights(network.from_flax(module, x).leaves())
  assert {leaf.name.removesuffix('/kernel'): (leaf.role, leaf.fan_in, leaf.fan_out) for leaf in described} == expected


def test_convolutions_in_blocks_keep_the_size_of_images_and_their_mean_is_read():
  """With windows of 1 a convolutional network is the dense one at every pixel."""
  x = jax.random.normal(KEY, (2, 3, 3, 4))
  model, variables, w = drawn(models.residual(2, depth=1, width=5, window=1), x)
  w = {path: v[0, 0] if v.ndim == 4 else v for path, v in w.items()}
  h = dense(w, 'input', np.asarray(x, np.float64))
  h = h + dense(w, 'block_0/layer_0', np.maximum(h, 0))
  outputs, trace = model.forward(variables, x)
  np.testing.assert_allclose(trace.features['after_block_0'], h, rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(outputs, dense(w, 'readout', np.maximum(h, 0).mean((1, 2))), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('features', ['sine', 'fourier', 'none'])
def test_a_coordinate_network_is_the_formula_and_its_waves_stay(features):
  model, variables, w = drawn(models.coordinates(2, widths=(5, 6), features=features, frequency=3.0, waves=7), X)
  h = np.asarray(X, np.float64)
  if features == 'fourier':
    phases = 2 * np.pi * h @ np.asarray(variables['waves']['frequencies'], np.float64)
    h = np.concatenate([np.cos(phases), np.sin(phases)], -1)
  for name in ('input', 'hidden_1'):
    h = np.sin(3 * dense(w, name, h)) if features == 'sine' else np.maximum(dense(w, name, h), 0)
  outputs, trace = model.forward(variables, X, train=True, key=KEY)
  np.testing.assert_allclose(outputs, dense(w, 'readout', h), rtol=1e-3, atol=1e-4)
  assert list(trace.features) == ['after_input', 'after_hidden_1']
  for name, value in trace.mutated.items():
    jax.tree.map(np.testing.assert_array_equal, value, variables[name])


def test_phases_of_a_sine_network_keep_their_spread_from_layer_to_layer():
  """2006.09661, theorem 1.8: behind the first layer the phases have variance near 1, and activations that of an arcsine, 1/2."""
  x = jax.random.uniform(KEY, (256, 2), minval=-1, maxval=1)
  model = network.from_flax(models.coordinates(1, widths=(64,) * 4), x)
  trace = jax.jit(lambda key: model.forward(model.init(key, None), x)[1])(KEY)
  spread = [float(jnp.mean(h**2)) for h in trace.features.values()]
  np.testing.assert_allclose(spread, 0.5, atol=0.12)


def test_a_graph_network_is_the_formula_and_does_not_see_the_order_of_nodes():
  nodes = jax.random.normal(KEY, (2, 4, 3))
  edges = jnp.asarray([[0, 1, 1, 0], [1, 0, 0, 0], [1, 0, 0, 1], [0, 0, 1, 0]], jnp.float32)
  graphs = {'nodes': nodes, 'adjacency': jnp.stack([edges, 0 * edges])}
  model, variables, w = drawn(models.gcn(2, widths=(5, 6), activation='tanh'), graphs)
  for n in range(2):
    a = np.asarray(graphs['adjacency'][n], np.float64) + np.eye(4)
    p, h = a / np.sqrt(np.outer(a.sum(1), a.sum(1))), np.asarray(nodes[n], np.float64)
    for name in ('input', 'hidden_1'):
      h = np.tanh(dense(w, name, p @ h))
    expected = dense(w, 'readout', h.mean(0))
    np.testing.assert_allclose(model.apply(variables, graphs)[n], expected, rtol=1e-4, atol=1e-5)
  order = np.array([2, 0, 3, 1])
  mixed = {'nodes': nodes[:, order], 'adjacency': graphs['adjacency'][:, order][:, :, order]}
  np.testing.assert_allclose(model.apply(variables, mixed), model.apply(variables, graphs), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
  ('module', 'x', 'sentence'),
  [
    (models.residual(2, window=3), X, r'reads images.*\(1, 4\): take flat=False, or window=0'),
    (models.residual(2), jnp.ones((2, 3), jnp.int32), 'a residual network reads floats'),
    (models.gcn(2), X, r'gcn reads graphs.*but the inputs are float32\(1, 4\)'),
    (models.gcn(2), {'nodes': jnp.ones((2, 3, 4)), 'adjacency': jnp.ones((2, 4, 4))}, r'need an adjacency of \(1, 3, 3\)'),
  ],
)
def test_inputs_of_another_kind_are_refused(module, x, sentence):
  with pytest.raises(ValueError, match=sentence):
    network.from_flax(module, x).leaves()


@pytest.mark.slow
def test_a_stacked_network_of_64_blocks_compiles_in_under_20_seconds_of_processor_time():
  model = network.from_flax(models.residual(2, depth=64, width=64, stacked=True), X)
  shapes = jax.eval_shape(model.init, KEY, None)['params']
  begin = time.process_time()
  jax.jit(jax.grad(lambda p: jnp.sum(model.apply({'params': p}, X)))).lower(shapes).compile()
  assert time.process_time() - begin < 20
