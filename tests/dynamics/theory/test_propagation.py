"""The maps in numpy against those in jax, which scipy's quadrature tests."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics.theory import kernels, mean_field, propagation


@pytest.mark.parametrize(('phi', 'dual'), [(np.tanh, kernels.quadrature(jnp.tanh)), (lambda u: np.maximum(u, 0), kernels.relu)])
@pytest.mark.parametrize(('w', 'b'), [(0.8, 0.1), (1.9, 0.05)])
def test_layer_by_layer_as_in_jax(wide, phi, dual, w, b):
  path = [(np.float64(1.7), np.float64(0.3))]
  for _ in range(4):
    q, c = path[-1]
    following = mean_field.variance(dual, q, w, b)
    path.append((following, mean_field.correlation(dual, c, q, w, b) * q / following))
  np.testing.assert_allclose(propagation.layers(phi, 1.7, 0.3, w, b, 5), np.array(path), rtol=2e-3)
  end = jax.jit(lambda: mean_field.fixed_point(dual, jnp.float64(w), jnp.float64(b), layers=400))()
  q = propagation.fixed_variance(phi, w, b, 400)
  np.testing.assert_allclose(q, end.variance, rtol=1e-6)
  np.testing.assert_allclose(propagation.slope(phi, q, w), end.slope, rtol=1e-6)


def test_the_edge_of_chaos_is_that_of_jax(wide):
  edge = mean_field.critical(kernels.quadrature(jnp.tanh), jnp.float64(0.4))
  np.testing.assert_allclose(propagation.critical(np.tanh, 0.4), edge, rtol=1e-6)
  np.testing.assert_allclose(propagation.critical(lambda u: np.maximum(u, 0), 0.4), (2, 0), atol=1e-6)
