"""Weights and biases of the two variances of mean-field theory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import inits, models, network, trees
from dynamics.theory import propagation

KEY = jax.random.key(3, impl='threefry2x32')


def test_moments_and_keys_of_weights_and_biases():
  leaves = network.from_flax(models.mlp(10, widths=(4000, 50)), jnp.zeros((1, 100))).leaves()
  params = trees.by_path(inits.biased(bias_std=0.3, init_scale=2.0)(KEY, leaves, None))
  np.testing.assert_allclose(np.std(params['input/kernel']), 0.2, rtol=0.01)
  np.testing.assert_allclose(np.std(params['input/bias']), 0.3, rtol=0.05)
  assert abs(np.mean(params['input/bias'])) < 0.02
  plain = trees.by_path(inits.gaussian(init_scale=2.0)(KEY, leaves, None))
  np.testing.assert_array_equal(params['hidden_1/kernel'], plain['hidden_1/kernel'])
  assert np.unique(params['hidden_1/bias']).size == 50


@pytest.mark.parametrize('bias_std', [0.0, 0.5])
def test_a_wide_layer_has_the_variance_of_the_map(bias_std):
  x = jax.random.normal(KEY, (4, 300))
  plain = network.from_flax(models.mlp(2, widths=(3000, 3000), activation='tanh'), x)
  model = network.initialised(plain, inits.biased(bias_std=bias_std, init_scale=1.5))
  features = model.forward(model.init(KEY, None), x)[1].features
  q = propagation.variance(lambda u: u, 1.0, 2.25, bias_std**2)
  expected = propagation.variance(np.tanh, q, 2.25, bias_std**2)
  square = float(jnp.mean(jnp.square(features['after_hidden_1'])))
  np.testing.assert_allclose(square, propagation.variance(np.tanh, expected, 1.0, 0.0), rtol=0.05)
