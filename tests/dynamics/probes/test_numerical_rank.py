"""The numerical rank of a change against numpy's, with small directions and with rounding in it."""

import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import probes

rng = np.random.default_rng(5)


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('shape', [(40, 30), (3, 10, 40)])
def test_the_numerical_rank_of_a_change_counts_singular_values_above_a_share_of_the_largest(probing, wide, dtype, shape):
  """Four directions of size 1 and three of 1e-3 in a sum with W0, whose rounding in float32 is far below the tolerance."""
  left, right = (np.linalg.qr(rng.normal(size=(n, n)))[0][:, :7] for n in (shape[-1], np.prod(shape[:-1])))
  change = (right * np.array([1.0] * 4 + [1e-3] * 3)) @ left.T
  w0 = rng.normal(size=shape).astype(dtype)
  w = (w0 + change.reshape(shape)).astype(dtype)
  rounded = (w.astype(np.float64) - w0).reshape(change.shape)
  for tolerance, rank in ((1e-4, 7), (1e-2, 4)):
    view = probing.view(lambda v, x: x, {'a': jnp.asarray(w)}, initial={'a': jnp.asarray(w0)})
    (out,) = probing.read(probes.weight_matrices(tolerance=tolerance), view)
    oracle = np.linalg.matrix_rank(rounded, tol=tolerance * np.linalg.norm(rounded, 2))
    assert out['change_numerical_rank_of']['a'] == oracle == rank
  still = probing.view(lambda v, x: x, {'a': w0, 'b': w * np.nan}, initial={'a': w0, 'b': w0})
  ranks = probing.read(probes.weight_matrices(), still)[0]['change_numerical_rank_of']
  assert ranks['a'] == 0
  assert np.isnan(ranks['b'])
