"""The slope of the gradient along itself: a quadratic in closed form, and numpy on gradients of a network."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import losses, probes, trees
from dynamics.types import Batch

rng = np.random.default_rng(2)
FIELDS = dict(nearest=0.01, farthest=0.2, points=3)
R = np.geomspace(0.01, 0.2, 3)


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
def test_on_a_quadratic_it_is_the_curvature_along_the_gradient_at_every_distance(probing, wide, dtype):
  a = np.diag([1.0, 2.0, 5.0])
  w = {'a': jnp.asarray(rng.normal(size=3), dtype), 'b': jnp.asarray(rng.normal(size=2), dtype)}
  value = lambda p: p['a'] @ jnp.asarray(a, dtype) @ p['a'] / 2 + p['b'].sum() ** 4
  height = lambda v, x: value(v['params'])[None, None]
  view = probing.view(height, w, Batch(jnp.zeros((1, 1)), jnp.zeros(1, jnp.int32)), loss=lambda z, y: z[:, 0])
  (out,) = probing.read(probes.smoothness(where='a', **FIELDS), view)
  x = np.asarray(w['a'], np.float64)
  slope = np.linalg.norm(a @ a @ x) / np.linalg.norm(a @ x)
  np.testing.assert_allclose(out['offset'], R, rtol=1e-6)
  np.testing.assert_allclose(out['change'], slope, rtol=1e-4)
  np.testing.assert_allclose(out['largest'], slope, rtol=1e-4)
  np.testing.assert_allclose(out['scaled'], slope * (x @ x), rtol=1e-4)
  np.testing.assert_allclose(out['steepness'], np.linalg.norm(a @ x) * np.linalg.norm(x), rtol=1e-5)


def test_on_a_network_it_is_that_of_dense_gradients_and_does_not_depend_on_the_scale_of_normalised_weights(probing, wide):
  """Outputs x w / |w|, so `scaled` and `steepness` are the same at 3 w; under vmap, against differences of float64 gradients."""
  x, y = rng.normal(size=(6, 4)), np.arange(6) % 3
  apply = lambda v, x: x @ v['params']['w'] / jnp.linalg.norm(v['params']['w'])
  batch, loss = Batch(jnp.asarray(x), jnp.asarray(y, jnp.int32)), losses.cross_entropy(dtype='float64')
  w = rng.normal(size=(2, 4, 3))
  probe = probes.smoothness(examples=5, **FIELDS)
  seen = lambda w: probe.measure(probing.view(apply, {'w': w}, batch, loss=loss), (), jax.random.key(0))[0]
  out, larger = (jax.device_get(jax.jit(jax.vmap(seen))(jnp.asarray(scale * w))) for scale in (1, 3))

  def gradient(w):
    size = np.linalg.norm(w)
    z = x[:5] @ w / size
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True) - np.eye(3)[y[:5]]
    g = x[:5].T @ p / 5
    return g / size - w * (g * w).sum() / size**3

  for i in range(2):
    g, size = gradient(w[i]), np.linalg.norm(w[i])
    moved = [w[i] - r * g * size / np.linalg.norm(g) for r in R]
    slopes = [np.linalg.norm(gradient(v) - g) / (r * size) for r, v in zip(R, moved, strict=True)]
    np.testing.assert_allclose(out['change'][i], slopes, rtol=1e-5)
    np.testing.assert_allclose(out['largest'][i], max(slopes), rtol=1e-5)
    np.testing.assert_allclose(out['steepness'][i], np.linalg.norm(g) * size, rtol=1e-5)
  for name in ('scaled', 'steepness'):
    np.testing.assert_allclose(larger[name], out[name], rtol=1e-5)
  assert trees.size(out['change']) == 6


def test_a_pattern_that_matches_nothing_is_an_error(probing):
  view = probing.view(lambda v, x: x * v['params']['w'], {'w': jnp.ones(())}, loss=losses.cross_entropy())
  with pytest.raises(ValueError, match="where is 'v', which matches none of w"):
    probing.read(probes.smoothness(where='v'), view)
