"""Shares near zero, kurtosis and histograms against numpy, of weights as the network sees them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import inits, models, network, probes, transforms, trees
from dynamics.types import Batch

rng = np.random.default_rng(4)


@pytest.mark.parametrize('dtype', ['float32', 'float64', 'bfloat16'])
def test_against_numpy_for_several_members(probing, wide, dtype):
  w = {'a': rng.normal(0.1, 2, size=(2, 7, 5)), 'b': rng.standard_t(3, size=(2, 3, 4, 5)), 'c': np.ones((2, 3, 3))}
  w = {name: jnp.asarray(v, dtype) for name, v in w.items()} | {'bias': jnp.ones((2, 4), dtype)}
  probe = probes.weight_shape(near=0.3, reach=2.0, bins=6)
  read = lambda params: probe.measure(probing.view(lambda v, x: x, params), (), jax.random.key(0))[0]
  out = jax.device_get(jax.jit(jax.vmap(read))(w))
  assert all(set(of) == {'a', 'b', 'c'} for of in out.values())
  assert np.isnan(out['kurtosis_of']['c']).all()
  for name in 'ab':
    for i, v in enumerate(np.asarray(w[name], np.float64)):
      expected = {
        'near_zero_of': np.mean(np.abs(v) < 0.3 * v.std()),
        'kurtosis_of': np.mean((v - v.mean()) ** 4) / v.var() ** 2,
        'largest_of': np.abs(v).max() / v.std(),
        'spread_of': v.std(),
        'share_of': np.histogram(v / v.std(), bins=6, range=(-2, 2))[0] / v.size,
      }
      for reading, value in expected.items():
        np.testing.assert_allclose(out[reading][name][i], value, rtol=1e-4, atol=1e-6)


def test_it_sees_companded_weights_and_refuses_networks_without_any(probing):
  x = jnp.ones((2, 4))
  plain = network.initialised(network.from_flax(models.mlp(3, widths=(5,)), x), inits.gaussian())
  model = transforms.weight_compander(bound=1.0, knee=0.2)(plain)
  params = model.init(jax.random.key(1), None)['params']
  (out,) = probing.read(probes.weight_shape(), probing.view(model, params, Batch(x, jnp.zeros(2, jnp.int32))))
  v = np.asarray(params['input']['kernel'], np.float64)
  w = 0.5 * np.sign(v) * (2 / np.pi * np.arctan(np.abs(v) / 0.1)) ** (1 / 1.5)
  np.testing.assert_allclose(out['spread_of']['input/kernel'], w.std(), rtol=1e-4)
  with pytest.raises(ValueError, match='needs a weight array with two or more axes'):
    probing.read(probes.weight_shape(), probing.view(lambda v, x: x, {'w': jnp.ones(3)}))
  assert trees.size(params) == 4 * 5 + 5 + 5 * 3 + 3
