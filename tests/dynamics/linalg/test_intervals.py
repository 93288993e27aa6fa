"""Interval bounds against a loop over corners and signs in numpy, and against points of the box."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import models, network
from dynamics.linalg.intervals import Interval, bounds

rng = np.random.default_rng(3)
X, RADIUS = rng.normal(size=(3, 4)), 0.3


def layer(low, high, w, b):
  """Each output entry's extremes, by the sign of every weight."""
  ends = [(sum(min(w[i, j] * low[n, i], w[i, j] * high[n, i]) for i in range(len(w))) + b[j],
           sum(max(w[i, j] * low[n, i], w[i, j] * high[n, i]) for i in range(len(w))) + b[j])
          for n in range(len(low)) for j in range(len(b))]  # fmt: skip
  return (np.array(end).reshape(len(low), len(b)) for end in zip(*ends, strict=True))


@pytest.mark.parametrize(('dtype', 'activation'), [('float32', 'relu'), ('float64', 'sigmoid'), ('float64', 'tanh')])
def test_a_dense_network_against_a_loop_and_under_vmap(wide, dtype, activation):
  module = models.mlp(2, widths=(5, 3), activation=activation)
  model = network.from_flax(module, jnp.zeros((1, 4), dtype))
  draw = lambda seed: jax.tree.map(
    lambda w: jnp.asarray(rng.normal(size=w.shape), dtype), model.init(jax.random.key(seed), None)['params']
  )
  drawn = [draw(seed) for seed in (0, 1)]
  params = jax.tree.map(lambda *w: jnp.stack(w), *drawn)
  x = jnp.asarray(X, dtype)

  def passed(params):
    outputs, trace = bounds(lambda x: model.forward({'params': params}, x), x - RADIUS, x + RADIUS)
    return outputs, trace.features

  found = jax.device_get(jax.jit(jax.vmap(passed))(params))
  phi = {'relu': lambda z: np.maximum(z, 0), 'tanh': np.tanh, 'sigmoid': lambda z: 1 / (1 + np.exp(-z))}[activation]
  for m, w in enumerate(drawn):
    low, high = X - RADIUS, X + RADIUS
    for name in ('input', 'hidden_1', 'readout'):
      low, high = layer(low, high, np.asarray(w[name]['kernel'], float), np.asarray(w[name]['bias'], float))
      low, high = (low, high) if name == 'readout' else (phi(low), phi(high))
      seen = found[0] if name == 'readout' else found[1][f'after_{name}']
      tolerance = dict(rtol=1e-9, atol=1e-12) if dtype == 'float64' else dict(rtol=1e-4, atol=1e-5)
      np.testing.assert_allclose(seen.low[m], low, **tolerance, err_msg=name)
      np.testing.assert_allclose(seen.high[m], high, **tolerance, err_msg=name)


class Mixed(nn.Module):
  """Convolution, |x|, powers, a residual sum, pooling, a mean and a difference of constants."""

  @nn.compact
  def __call__(self, x):
    h = nn.Conv(3, (2, 2), dtype=x.dtype, name='c')(x)
    h = jnp.abs(h) - 0.3 * h**3 + nn.relu(h) ** 2
    h = h + nn.Conv(3, (1, 1), dtype=x.dtype, name='d')(nn.tanh(h))
    h = nn.max_pool(h, (2, 2)) / -2.0
    return nn.Dense(2, dtype=x.dtype, name='e')(jnp.where(jnp.arange(3).reshape(1, 1, 1, 3) == 1, -h, h).mean(axis=(1, 2)))


def test_points_of_the_box_lie_inside_and_its_corners_are_reached_without_nonlinearities(wide):
  x = jnp.asarray(rng.normal(size=(2, 4, 4, 1)))
  model = network.from_flax(Mixed(), x)
  variables = jax.tree.map(lambda w: jnp.asarray(rng.normal(size=w.shape)), model.init(jax.random.key(0), None))
  apply = jax.jit(lambda x: model.apply(variables, x))
  low, high = jax.jit(lambda x: bounds(lambda x: model.apply(variables, x), x - RADIUS, x + RADIUS))(x)
  inside = np.stack([apply(x + RADIUS * rng.choice([-1, 0.3, 1], size=x.shape)) for _ in range(100)])
  assert ((inside >= low[None]) & (inside <= high[None])).all()
  exact = bounds(lambda x: model.apply(variables, x), x, x)
  np.testing.assert_allclose(exact.low, apply(x), rtol=1e-9)
  np.testing.assert_allclose(exact.high, apply(x), rtol=1e-9)
  w = jnp.asarray(rng.normal(size=16))
  found = bounds(lambda x: x.reshape(2, 16) @ w, x - RADIUS, x + RADIUS)
  corner = RADIUS * jnp.sign(w).reshape(1, 4, 4, 1)
  np.testing.assert_allclose(found.low, (x - corner).reshape(2, 16) @ w, rtol=1e-9)
  np.testing.assert_allclose(found.high, (x + corner).reshape(2, 16) @ w, rtol=1e-9)


def test_powers_and_maxima_over_0():
  found = bounds(lambda x: (x**2, jnp.abs(x), x**3, jnp.ones(2)), jnp.array([-1.0, 1.0]), jnp.array([2.0, 2.0]))
  pairs = [tuple(map(np.ndarray.tolist, map(np.asarray, interval))) for interval in found]
  assert pairs == [([0, 1], [4, 4]), ([0, 1], [2, 2]), ([-1, 1], [8, 8]), ([1, 1], [1, 1])]
  assert isinstance(found[3], Interval)


@pytest.mark.parametrize(
  ('function', 'words'),
  [(jnp.sin, 'through sin'), (lambda x: x * jnp.tanh(x), 'mul of two values'), (jax.nn.softplus, 'through ne')],
)
def test_what_cannot_be_passed_is_told(function, words):
  with pytest.raises(NotImplementedError, match=words):
    bounds(function, jnp.zeros(2), jnp.ones(2))
