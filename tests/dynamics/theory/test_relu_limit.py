"""The numpy forms of the relu limit against the general ones, and ensembles of networks against sampled ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics.theory import flow, kernels, permutation, relu_limit

rng = np.random.default_rng(0)
X, Y, NEW = rng.standard_normal((5, 3)), rng.standard_normal((5, 2)), rng.standard_normal((4, 3))


@pytest.mark.parametrize('hidden', [0, 1, 3])
@pytest.mark.parametrize('bias', [0.0, 0.7])
def test_the_kernels_and_laws_are_those_of_the_general_recursion(wide, hidden, bias):
  choices = dict(hidden=hidden, bias=bias)
  general = jax.jit(kernels.dense(kernels.relu, **choices))
  for one, two in ((X, None), (NEW, X), (np.zeros((1, 3)), X)):
    for got, expected in zip(
      relu_limit.kernels(one, two, **choices), general(*(v for v in (one, two) if v is not None)), strict=True
    ):
      np.testing.assert_allclose(got, expected, atol=1e-12)
  if hidden:
    expected = jax.jit(lambda x, y, new: flow.ensemble(general, x, y)(jnp.inf, new))(X, Y, NEW)
    for got, each in zip(relu_limit.trained(X, Y, NEW, **choices), expected, strict=True):
      np.testing.assert_allclose(got, each, atol=1e-9)


def test_the_mean_on_bits_is_the_closed_form_of_an_equicorrelated_kernel():
  """On the basis vectors Theta = (a - b) I + b 11^T; for the input with all k bits all its kernels are one number c."""
  k = 6
  angle = np.arccos(k**-0.5)  # between a basis vector and all ones
  a, b = 1.0, 1 / (2 * np.pi)  # in units of 1/k: nngp + slope at angles 0 and pi/2
  c = (np.sqrt(k) * np.sin(angle) + (np.pi - angle)) / (2 * np.pi) + (np.pi - angle) / (2 * np.pi)
  mean = permutation.law(k).mean
  np.testing.assert_allclose(mean[-1], c / (a + (k - 1) * b), rtol=1e-12)  # the last input is all ones
  low, high = permutation.margins(k)
  on = permutation.permuted(permutation.inputs(k)[1]) == 1
  assert low == min(mean[on])
  assert high == max(mean[~on])


def test_half_of_sampled_ensembles_of_the_stated_size_are_exact():
  k = 3
  size = round(np.median(permutation.ensemble_sizes(k, 2000, np.random.default_rng(1))))
  mean, covariance = permutation.law(k)
  networks = np.random.default_rng(2).multivariate_normal(np.zeros(len(mean)), covariance, (400, size, k))
  outputs = mean[None] + np.swapaxes(networks.mean(axis=1), 1, 2)
  exact = ((outputs > 0) == (permutation.permuted(permutation.inputs(k)[1]) == 1)[None]).all(axis=(1, 2))
  assert abs(exact.mean() - 0.5) < 0.08
