"""The largest activations of two layers against numpy, for several members and positions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import probes
from dynamics.types import Batch

rng = np.random.default_rng(6)


@pytest.mark.parametrize('dtype', ['float32', 'bfloat16'])
def test_against_numpy(probing, dtype):
  x, w = jnp.asarray(rng.normal(size=(7, 2, 4)), dtype), jnp.asarray(rng.normal(size=(3, 4, 5)), dtype)

  def apply(variables, x):
    h = x @ variables['params']['w']
    return h, {'first': h, 'second': 3 * jnp.square(h)}

  probe, batch = probes.extremes(examples=6), Batch(x, jnp.zeros(7, jnp.int32))
  read = lambda w: probe.measure(probing.view(apply, {'w': w}, batch), (), jax.random.key(0))[0]
  out = jax.device_get(jax.jit(jax.vmap(read))(w))
  limit = {'float32': 1e-5, 'bfloat16': 2e-2}[dtype]
  for i in range(3):
    h = np.asarray(x[:6], np.float64) @ np.asarray(w[i], np.float64)
    for name, value in (('first', np.abs(h)), ('second', 3 * h**2)):
      np.testing.assert_allclose(out['largest_of'][name][i], value.max(), rtol=limit)
      np.testing.assert_allclose(out['relative_of'][name][i], value.max() / np.sqrt((value**2).mean()), rtol=limit)
    np.testing.assert_allclose(out['largest'][i], max(np.abs(h).max(), 3 * (h**2).max()), rtol=limit)
