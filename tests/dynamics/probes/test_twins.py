"""Units that were copies against loops over all pairs."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import probes

rng = np.random.default_rng(7)


def loops(w, start):
  matrices = [np.asarray(v, np.float64).reshape(-1, v.shape[-1]) for v in (w, start)]
  pairs = [(i, j) for i, j in itertools.combinations(range(w.shape[-1]), 2) if (matrices[1][:, i] == matrices[1][:, j]).all()]
  return max((np.abs(matrices[0][:, i] - matrices[0][:, j]).max() for i, j in pairs), default=np.nan)


@pytest.mark.parametrize('dtype', ['bfloat16', 'float32', 'float64'])
def test_units_that_were_copies_are_compared_and_no_others(probing, wide, dtype):
  copies = np.eye(4)[np.arange(10) % 4].T  # 4 inputs, 10 units
  start = {'a': copies, 'b': rng.normal(size=(2, 3, 5)), 'c': np.ones((2, 3, 5)), 'd': rng.normal(size=6), 'e': copies}
  cast = lambda tree: {name: jnp.asarray(v, dtype) for name, v in tree.items()}
  initial = cast(start)
  now = cast({name: v + rng.normal(size=v.shape) for name, v in start.items()} | {'e': start['e'][:, ::-1]})
  out = probing.read(probes.twins(), probing.view(lambda v, x: x, now, initial=initial))[0]['apart_of']
  assert set(out) == {'a', 'b', 'c', 'e'}
  for name in out:
    np.testing.assert_allclose(out[name], loops(now[name], initial[name]), rtol=1e-6, err_msg=name)
  assert np.isnan(out['b'])
  still = probing.read(probes.twins(), probing.view(lambda v, x: x, initial, initial=initial))[0]['apart_of']
  assert still['a'] == still['c'] == 0
