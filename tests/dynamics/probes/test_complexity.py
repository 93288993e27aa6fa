"""Frequencies against numpy's fft, and phrases against a search for substrings."""

import operator

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import network, probes
from dynamics.probes.complexity import phrases
from dynamics.types import Batch

rng = np.random.default_rng(5)
D, H, K = 4, 5, 3
X = rng.normal(size=(7, D))  # the last has no partner
W = [{'a': scale * rng.normal(size=(D, H)), 'b': rng.normal(size=H), 'v': rng.normal(size=(H, K))} for scale in (6, 0.3)]


def by_search(bits):
  """LZ76: a phrase grows while it occurs in what lies before its last bit."""
  text, begin, count = ''.join('01'[int(b)] for b in bits), 0, 0
  while begin < len(text):
    end = begin + 1
    while end < len(text) and text[begin:end] in text[: end - 1]:
      end += 1
    begin, count = end, count + 1
  return count


def expected(f, x, points):
  """Of a numpy function of one input, circle by circle."""
  x = x[: len(x) // 2 * 2]
  c, angles, shares, compressed = x.mean(axis=0), 2 * np.pi * np.arange(points) / points, [], []
  for i in range(0, len(x), 2):
    z = np.array([f(c + (x[i] - c) * np.cos(a) + (x[i + 1] - c) * np.sin(a)) for a in angles])
    z -= z.mean(axis=0)
    power, of = np.sum(np.abs(np.fft.fft(z, axis=0)) ** 2, axis=1), np.abs(np.fft.fftfreq(points) * points).round()
    power = np.array([power[of == k].sum() for k in range(1, points // 2 + 1)])
    shares.append(power / power.sum())
    compressed.append(np.mean([by_search(z[:, k] > 0) for k in range(z.shape[1])]) * np.log2(points) / points)
  values = {'frequency': np.array(shares) @ np.arange(1, points // 2 + 1), 'lempel_ziv': np.array(compressed)}
  errors = {f'{name}_se': np.std(v, ddof=1) / np.sqrt(len(v)) for name, v in values.items()}
  return {'spectrum': np.mean(shares, axis=0)} | {name: v.mean() for name, v in values.items()} | errors


def test_phrases_against_substrings():
  texts = [rng.integers(0, 2, 40) for _ in range(20)] + [np.zeros(40, int), np.arange(40) % 2, np.arange(40) // 20]
  ours = jax.jit(jax.vmap(phrases))(jnp.asarray(np.stack(texts), bool))
  assert ours.tolist() == [by_search(bits) for bits in texts]
  assert by_search([int(c) for c in '0001101001000101']) == 6  # Lempel and Ziv's own: 0 001 10 100 1000 101


@pytest.mark.parametrize(('dtype', 'points'), [('float32', 16), ('float64', 21)])
def test_a_network_of_sines_under_vmap(probing, wide, dtype, points):
  def apply(variables, x):
    w = variables['params']
    return jnp.sin(x @ w['a'] + w['b'][None]) @ w['v']

  examples = Batch(jnp.asarray(X, dtype), jnp.zeros(len(X), jnp.int32))
  members = jax.tree.map(lambda *w: jnp.asarray(np.stack(w), dtype), *W)
  probe = probes.complexity(circles=5, points=points)
  measure = lambda params: probe.measure(probing.view(apply, params, examples), (), None)[0]
  readings = jax.device_get(jax.jit(jax.vmap(measure))(members))
  rtol = 1e-9 if dtype == 'float64' else 2e-4
  for i, w in enumerate(W):
    f = lambda x, w=w: np.sin(x @ w['a'] + w['b']) @ w['v']
    for name, value in expected(f, X, points).items():
      np.testing.assert_allclose(readings[name][i], value, rtol=rtol, atol=rtol / 10, err_msg=name)
  assert operator.gt(*readings['frequency'])


def test_a_convolution_along_circles_of_pixels(probing):
  class Conv(network.nn.Module):
    @network.nn.compact
    def __call__(self, x):
      h = jnp.sin(8 * network.nn.Conv(2, (2, 2), use_bias=False, padding='VALID', name='c')(x))
      return jnp.sum(h, axis=(1, 2))

  x = rng.normal(size=(4, 3, 3, 1))
  model = network.from_flax(Conv(), x.astype(np.float32))
  params = model.init(jax.random.key(0), None)['params']
  examples = Batch(jnp.asarray(x, jnp.float32), jnp.zeros(4, jnp.int32))
  (out,) = probing.read(probes.complexity(circles=2, points=32), probing.view(model, params, examples))
  kernel = np.asarray(params['c']['kernel'], np.float64)
  windows = [np.s_[i : i + 2, j : j + 2] for i in (0, 1) for j in (0, 1)]
  f = lambda x: sum(np.sin(8 * np.einsum('abc,abco->o', x[w], kernel)) for w in windows)
  for name, value in expected(f, x, 32).items():
    np.testing.assert_allclose(out[name], value, rtol=1e-3, atol=1e-4, err_msg=name)


def test_a_linear_network_turns_once_and_a_constant_one_not_at_all(probing):
  examples = Batch(jnp.asarray(X, jnp.float32), jnp.zeros(len(X), jnp.int32))
  apply = lambda variables, x: x @ variables['params']['w'] + 0.1
  for scale, frequency in ((1.0, 1.0), (0.0, np.nan)):
    params = {'w': jnp.asarray(scale * W[0]['a'], jnp.float32)}
    (out,) = probing.read(probes.complexity(), probing.view(apply, params, examples))
    np.testing.assert_allclose(out['frequency'], frequency, rtol=1e-5)
  assert out['lempel_ziv'] == pytest.approx(2 * 6 / 64)  # 0 and 000...
