"""Feature diversity against numpy in float64, pair by pair, and on states whose exponent is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import models, network, probes
from dynamics.types import Batch

rng = np.random.default_rng(12)
X = rng.normal(size=(6, 3))


@pytest.mark.parametrize('stacked', [False, True])
def test_increments_against_numpy_pair_by_pair(probing, wide, stacked):
  """The last gap is longer than the network."""
  model = network.from_flax(models.residual(2, depth=4, width=5, activation='tanh', stacked=stacked), X)
  shapes = jax.eval_shape(model.init, jax.random.key(0), None)['params']
  w = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), shapes)
  view = probing.view(model, jax.tree.map(jnp.asarray, w), Batch(jnp.asarray(X), jnp.zeros(6)))
  (out,) = probing.read(probes.diversity(examples=4, gaps=(1, 3, 5)), view)
  h = X[:4] @ w['input']['kernel'] + w['input']['bias']
  states = [h]
  for i in range(4):
    layer = jax.tree.map(lambda a, i=i: a[i], w['blocks']['layer_0']) if stacked else w[f'block_{i}']['layer_0']
    states.append(states[-1] + np.tanh(states[-1]) @ layer['kernel'] + layer['bias'])
  for place, gap in enumerate((1, 3)):
    pairs = [(states[i], states[i + gap]) for i in range(5 - gap)]
    moved, size = (np.mean([np.mean(d**2) for d in rows]) for rows in ([b - a for a, b in pairs], [a for a, _ in pairs]))
    np.testing.assert_allclose(out['increment'][place], np.sqrt(moved / size), rtol=1e-9)
  assert np.isnan(out['increment'][2])


def shown(states):
  """The reading of a model that shows these states (l, n, h), and before them one of another shape."""
  features = {'first': jnp.zeros((states.shape[1], 2)), **{f'state_{i:03}': jnp.asarray(h) for i, h in enumerate(states)}}
  return lambda variables, x: (x @ variables['params']['w'], features)


@pytest.mark.parametrize(('name', 'power'), [('walk', 0.5), ('line', 1.0)])
def test_a_random_walk_and_a_straight_line_along_the_depth_have_their_exponents(probing, name, power):
  length, gaps = 65, (1, 2, 4, 8, 16)
  step = rng.normal(size=(length, 64, 64)) if name == 'walk' else np.broadcast_to(rng.normal(size=(1, 64, 64)), (length, 64, 64))
  states = 100 * rng.normal(size=(1, 64, 64)) + np.cumsum(step, axis=0)
  batch = Batch(jnp.zeros((64, 1)), jnp.zeros(64))
  (out,) = probing.read(probes.diversity(gaps=gaps), probing.view(shown(states), {'w': jnp.zeros((1, 1))}, batch))
  slope = np.polyfit(np.log(gaps), np.log(out['increment']), 1)[0]
  assert slope == pytest.approx(power, abs=0.03)
