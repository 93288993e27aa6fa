"""A symmetric map against the eigenvalues that numpy reads off its examples."""

import jax
import numpy as np
import pytest

from dynamics import data


def test_a_symmetric_map_has_its_eigenvalues_on_white_inputs():
  values = (-2.0, -0.5, 1.0, 3.0)
  task, maps = data.symmetric_map(eigenvalues=values, train=12), []
  for seed in (0, 1):
    drawn = jax.jit(task.draw)(jax.random.key(seed, impl='threefry2x32'))
    x, y = (np.asarray(v, np.float64) for v in drawn.train)
    np.testing.assert_allclose(x.T @ x / 12, np.eye(4), atol=1e-5)
    maps.append(x.T @ y / 12)
    np.testing.assert_allclose(maps[-1], maps[-1].T, atol=1e-5)
    np.testing.assert_allclose(np.linalg.eigvalsh(maps[-1]), values, atol=1e-5)
    np.testing.assert_array_equal(drawn.test.y, drawn.train.y)
  assert np.abs(maps[0] - maps[1]).max() > 0.1
  assert task.outputs == 4
  with pytest.raises(ValueError, match='eigenvalues has 4 values; it must have 1 to 3, the number of examples'):
    data.symmetric_map(eigenvalues=values, train=3)
