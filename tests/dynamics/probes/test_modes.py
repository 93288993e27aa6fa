"""The probes of linear theory, against numpy in float64: modes, spectrum and null_space."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import probes
from dynamics.types import Batch

rng = np.random.default_rng(5)
TOKENS = Batch(jnp.zeros((3, 2), jnp.int32), jnp.zeros(3, jnp.int32))


def linear(variables, x):
  params = variables['params']
  return x.reshape((x.shape[0], -1)) @ params['input']['kernel'] @ params['readout']['kernel']


def layers(d, h, k, scale=1.0):
  return {'input': {'kernel': scale * rng.normal(size=(d, h))}, 'readout': {'kernel': scale * rng.normal(size=(h, k))}}


def cast(tree):
  return jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), tree)


@pytest.fixture
def reading(probing):
  """The state is that of step 0, as in a run."""

  def read(probe, params, batch, start=None):
    views = [probing.view(linear, cast(p), batch, initial=cast(start or params)) for p in (start or params, params)]
    return probing.read(probe, *views)[1]

  return read


@pytest.mark.parametrize(('shape', 'k'), [((7, 5), 3), ((4, 2, 3), 8)], ids=['n > d > k', 'two axes, k > d > n'])
def test_modes_against_numpy(reading, shape, k):
  n, d = shape[0], int(np.prod(shape[1:]))
  x, y, params = rng.normal(size=shape), rng.normal(size=(n, k)), layers(d, 4, k)
  out = reading(probes.modes(), params, Batch(*cast((x, y))), layers(d, 4, k))
  flat = x.reshape(n, d)
  u, s, vt = np.linalg.svd(sum(np.outer(b, a) for a, b in zip(flat, y, strict=True)) / n, full_matrices=False)
  f = flat @ params['input']['kernel'] @ params['readout']['kernel']
  response = sum(np.outer(b, a) for a, b in zip(flat, f, strict=True)) / n
  strength = np.array([u[:, i] @ response @ vt[i] for i in range(len(s))])
  known = slice(0, np.linalg.matrix_rank(flat.T @ y))  # beyond the rank the singular vectors are anyone's
  np.testing.assert_allclose(out['strength'][known], strength[known], rtol=1e-4, atol=1e-4)
  np.testing.assert_allclose(out['target'], s, rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(out['singular'], np.linalg.svd(response, compute_uv=False)[: len(s)], rtol=1e-4, atol=1e-5)
  if known.stop == len(s):
    rest = response - sum(a * np.outer(u[:, i], vt[i]) for i, a in enumerate(strength))
    np.testing.assert_allclose(out['outside'], np.linalg.norm(rest), rtol=1e-4)


def test_a_network_that_has_learned_its_labels_has_the_strengths_of_the_task(reading):
  """White inputs: the response is the map itself; a network that gives the one-hot labels has s_i and nothing outside."""
  n, k = 6, 3
  y = np.array([0, 1, 2, 0, 1, 1], np.int32)
  params = {'input': {'kernel': np.eye(n) / n**0.5}, 'readout': {'kernel': np.eye(k)[y]}}
  out = reading(probes.modes(), params, Batch(jnp.float32(n**0.5) * jnp.eye(n), jnp.asarray(y)))
  np.testing.assert_allclose(out['strength'], np.sqrt(np.array([3, 2, 1]) / n), rtol=1e-5)
  np.testing.assert_allclose(out['target'], out['strength'], rtol=1e-5)
  np.testing.assert_allclose(out['outside'], 0, atol=1e-6)


@pytest.mark.parametrize('n', [4, 9])
def test_spectrum_and_null_space_against_numpy(reading, n):
  d = 6
  x = rng.normal(size=(n, d))
  x[1] = x[0]  # one direction fewer than examples
  x[:, 2] = 0
  w0, w = layers(d, 3, 1), layers(d, 3, 1)
  batch = Batch(cast(x), jnp.zeros((n, 1)))
  eigenvalues = np.sort(np.linalg.eigvalsh(x.T @ x / n))[::-1][: min(n, d)]
  np.testing.assert_allclose(reading(probes.input_spectrum(), w, batch)['eigenvalue'], eigenvalues, rtol=1e-4, atol=1e-6)
  out = reading(probes.null_space(), w, batch, w0)
  null = np.eye(d) - np.linalg.pinv(x, rcond=1e-6) @ x
  kernel, kernel0 = (p['input']['kernel'] for p in (w, w0))
  assert int(out['dimension']) == round(np.trace(null)) == d - min(n - 1, d - 1)
  np.testing.assert_allclose(out['moved'], np.linalg.norm(null @ (kernel - kernel0)), rtol=1e-4)
  np.testing.assert_allclose(out['size'], np.linalg.norm(null @ kernel0), rtol=1e-4)


@pytest.mark.parametrize('probe', ['modes', 'null_space', 'input_spectrum'])
def test_tokens_and_trees_are_refused_at_the_start(probing, probe):
  tree = Batch({'left': jnp.ones((3, 2)), 'right': jnp.ones((3, 2))}, TOKENS.y)
  for batch, word in ((TOKENS, 'tokens'), (tree, 'a tree of 2 arrays')):
    with pytest.raises(ValueError, match=word):
      getattr(probes, probe)().init(probing.view(lambda v, x: jnp.zeros((3, 2)), {}, batch))


def test_null_space_needs_a_layer_that_reads_the_inputs(probing):
  batch = Batch(jnp.ones((3, 5)), jnp.zeros((3, 1)))
  with pytest.raises(ValueError, match=r'needs a first layer of 5 rows.* input/kernel is \(4, 2\)'):
    probes.null_space().init(probing.view(linear, layers(4, 2, 1), batch))
