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


def test_ensembles_that_grow_one_by_one_are_exact_as_soon_as_a_loop_over_networks_says():
  k, repetitions = 3, 400
  sizes = permutation.first_exact(k, repetitions, np.random.default_rng(1))
  mean, covariance = permutation.law(k)
  rng, bits = np.random.default_rng(2), permutation.inputs(k)[1]
  single = rng.multivariate_normal(np.zeros(len(mean)), covariance, (20_000, k))  # (n, k, m)
  two = [i for i, x in enumerate(bits) if x.sum() == 2]
  right = lambda outputs: all((outputs[i, j] > 0) == (bits[i, j - 1] == 1) for i in two for j in range(k))
  until_right = lambda networks: next((m for m in range(1, 500) if right(mean + networks[:m].mean(axis=0).T)), np.inf)
  first = [until_right(single[start : start + 500]) for start in range(0, 20_000, 500)]
  assert abs(np.mean(sizes == 1) - np.mean([right(mean + network.T) for network in single[:4000]])) < 0.06
  assert abs(np.log(np.median(sizes) / np.median(first))) < 0.8


def test_an_ensemble_of_networks_without_spread_is_exact_at_once_or_never():
  mean, covariance = permutation.law_of_pairs(3)
  same = lambda sign: lambda k: permutation.law_of_pairs(k)._replace(mean=sign * mean, covariance=1e-12 * covariance)
  assert (permutation.first_exact(3, 4, np.random.default_rng(0), same(1)) == 1).all()
  assert np.isinf(permutation.first_exact(3, 4, np.random.default_rng(0), same(-1), most=200)).all()
