"""Activations, preactivations and gradients there against numpy and scipy on networks written out."""

import operator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from dynamics import losses, network, probes
from dynamics.types import Batch

rng = np.random.default_rng(5)
N, D, H, K = 6, 4, 5, 3
X, Y = rng.normal(size=(N, D)), np.arange(N) % K
# Of two members. Biases put the second unit of the first out of action.
W = [{'a': rng.normal(size=(D, H)), 'b': rng.normal(size=H) - [0, 9 * i, 0, 0, 0], 'v': rng.normal(size=(H, K))} for i in (1, 0)]


def cast(tree, dtype):
  return jax.tree.map(lambda x: jnp.asarray(x, dtype), tree)


def of_members(probe, seen, members):
  """The reading of each member, all read under one vmap."""
  measure = lambda params: probe.measure(seen._replace(variables={**seen.variables, 'params': params}), (), None)[0]
  probe.init(seen)
  readings = jax.device_get(jax.jit(jax.vmap(measure))(jax.tree.map(lambda *w: jnp.stack(w), *members)))
  return [jax.tree.map(operator.itemgetter(i), readings) for i in range(len(members))]


def expected(h, delta):
  """Of (n, ..., units) in float64, pair by pair."""
  rows = h.reshape(len(h), -1)
  unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
  statistics = {'correlation': np.mean([unit[i] @ unit[j] for i in range(len(h)) for j in range(len(h)) if i != j])}
  for name, values in {'mean_square': rows, 'gradient_mean_square': delta.reshape(len(h), -1)}.items():
    squares = np.mean(values**2, axis=1)
    statistics |= {name: squares.mean(), f'{name}_se': np.std(squares, ddof=1) / np.sqrt(len(h))}
  return statistics


def expected_of_preactivations(z, delta):
  x = z.ravel()
  return expected(z, delta) | {
    'dead': np.mean(z.reshape(-1, z.shape[-1]).max(axis=0) <= 0),
    'skewness': scipy.stats.skew(x),
    'excess_kurtosis': scipy.stats.kurtosis(x),
    'kolmogorov': scipy.stats.kstest(x, scipy.stats.norm(x.mean(), x.std()).cdf).statistic,
  }


def assert_read(reading, layer, statistics, rtol):
  assert {name for name, of in reading.items() if layer in of} == {f'{name}_of' for name in statistics}
  for name, value in statistics.items():
    np.testing.assert_allclose(reading[f'{name}_of'][layer], value, rtol=rtol, atol=rtol, err_msg=f'{layer}: {name}')


def cross_entropy(out, y):
  return np.log(np.sum(np.exp(out), axis=1)) - out[np.arange(len(y)), y]


def central(losses, z):
  """The gradient (n, units) of losses (n,), each a function of its row of z."""
  return np.stack([(losses(z + e) - losses(z - e)) / 2e-6 for e in 1e-6 * np.eye(z.shape[1])], axis=1)


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
def test_a_dense_network_against_numpy_scipy_and_central_differences(probing, wide, dtype):
  def relu_network(variables, x):
    w = variables['params']
    h = jnp.maximum(x @ w['a'] + w['b'][None], 0)
    return h @ w['v'], {'hidden': h}

  examples = Batch(jnp.asarray(X, dtype), jnp.asarray(Y))
  members = [cast(w, dtype) for w in W]
  seen = probing.view(relu_network, members[0], examples, loss=losses.cross_entropy(dtype=dtype))
  shown = of_members(probes.activations(examples=N), seen, members)
  put_out = of_members(probes.preactivations(examples=N), seen, members)
  rtol = 1e-7 if dtype == 'float64' else 2e-4  # central differences err by 1e-9
  for w, activations, preactivations in zip(W, shown, put_out, strict=True):
    readout = lambda h, w=w: cross_entropy(h @ w['v'], Y)
    z = X @ w['a'] + w['b']
    h = np.maximum(z, 0)
    out = h @ w['v']
    assert_read(activations, 'hidden', expected(h, central(readout, h)), rtol)
    delta = central(lambda z, readout=readout: readout(np.maximum(z, 0)), z)
    assert_read(preactivations, 'a', expected_of_preactivations(z, delta), rtol)
    assert_read(preactivations, 'v', expected_of_preactivations(out, central(lambda out: cross_entropy(out, Y), out)), rtol)
  assert [reading['dead_of']['a'] > 0 for reading in put_out] == [True, False]


class Conv(network.nn.Module):
  @network.nn.compact
  def __call__(self, x):
    h = network.nn.relu(network.nn.Conv(3, (3, 2), name='c')(x))
    self.sow('intermediates', 'hidden', h)
    self.sow('intermediates', 'copy', 2 * h)
    return network.nn.Dense(K, name='v')(h.reshape(h.shape[0], -1))


def test_a_convolution_with_a_dead_filter_against_loops_and_the_chain_rule(probing):
  """Filters, in the order of the window, and biases. The gradient at a copy of what is read is not known."""
  x, y = rng.normal(size=(4, 5, 4, 2)).astype(np.float32), np.arange(4) % K
  model = network.from_flax(Conv(), x)
  params = jax.tree.map(jnp.asarray, model.init(jax.random.key(0), None)['params'])
  bias = np.array([0.3, -99.0, 0.1])
  params = {**params, 'c': {**params['c'], 'bias': jnp.asarray(bias, jnp.float32)}}
  seen = probing.view(model, params, Batch(x, y.astype(np.int32)), loss=losses.cross_entropy())
  (activations,), (preactivations,) = (
    of_members(probe(), seen, [params]) for probe in (probes.activations, probes.preactivations)
  )
  kernel, v = (np.asarray(params[name]['kernel'], np.float64) for name in ('c', 'v'))
  padded = np.pad(x.astype(np.float64), ((0, 0), (1, 1), (0, 1), (0, 0)))
  z = np.zeros((4, 5, 4, 3))
  for i, j in np.ndindex(5, 4):
    z[:, i, j] = np.einsum('nabc,abco->no', padded[:, i : i + 3, j : j + 2], kernel) + bias
  h = np.maximum(z, 0)
  out = h.reshape(4, -1) @ v
  chances = np.exp(out) / np.exp(out).sum(axis=1, keepdims=True)
  last = chances - np.eye(K)[y]
  delta = (last @ v.T).reshape(h.shape)
  assert_read(activations, 'hidden', expected(h, delta), 2e-4)
  assert_read(activations, 'copy', expected(2 * h, np.full(h.shape, np.nan)), 2e-4)
  assert_read(preactivations, 'c/kernel', expected_of_preactivations(z, delta * (z > 0)), 2e-4)
  assert_read(preactivations, 'v/kernel', expected_of_preactivations(out, last), 2e-4)
  assert preactivations['dead_of']['c/kernel'] == np.float32(1 / 3)


def test_values_that_are_all_alike_have_no_shape_and_zeros_no_direction(probing):
  params = {'w': jnp.zeros((D, H)), 'v': jnp.ones((H, K))}
  apply = lambda variables, x: (x @ variables['params']['w']) @ variables['params']['v']
  seen = probing.view(apply, params, Batch(jnp.asarray(X, jnp.float32), jnp.asarray(Y, jnp.int32)), loss=losses.cross_entropy())
  (reading,) = of_members(probes.preactivations(), seen, [params])
  for name in ('correlation', 'skewness', 'excess_kurtosis', 'kolmogorov'):
    assert np.isnan(reading[f'{name}_of']['w']), name
  assert reading['mean_square_of']['w'] == 0
  assert reading['dead_of']['w'] == 1
