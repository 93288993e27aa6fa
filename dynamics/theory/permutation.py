"""An infinitely wide network, and ensembles of such networks, that learn a permutation of k bits from k training inputs.

The network has one hidden relu layer and no biases. It is trained to convergence on the k standard basis vectors and tested
on all inputs with two bits or more. Source: 2502.16763.
"""

from collections.abc import Callable

import numpy as np

from dynamics.theory.relu_limit import GaussianProcess, trained


def inputs(k: int) -> tuple[np.ndarray, np.ndarray]:
  """The training inputs (k, k), which are the basis vectors, and the test inputs (2^k - 1 - k, k), with two bits or more.

  Both are sorted by the binary number that they represent, least significant bit first.
  """
  bits = (np.arange(1, 2**k)[:, None] >> np.arange(k)[None]) & 1
  single = bits.sum(axis=1) == 1
  return bits[single].astype(float), bits[~single].astype(float)


def permuted(x: np.ndarray) -> np.ndarray:
  """x (n, k) with each bit moved to the next position and the last bit to the first.

  The results are the same for any permutation, up to the order of outputs.
  """
  return np.roll(x, 1, axis=1)


def law(k: int) -> GaussianProcess:
  """The distribution of the outputs of one network at the test inputs: mean (m, k) and covariance (m, m)."""
  train, test = inputs(k)
  return trained(train, permuted(train), test, bias=0.0)


def margins(k: int) -> tuple[float, float]:
  """The smallest mean output for a target bit 1, and the largest for a target bit 0, over all test inputs."""
  is_one = permuted(inputs(k)[1]) == 1
  mean = law(k).mean
  return float(mean[is_one].min()), float(mean[~is_one].max(initial=-np.inf))


def pairs_of_ones(k: int) -> np.ndarray:
  """(m,) which test inputs have two ones; these are what the source counts."""
  return inputs(k)[1].sum(axis=1) == 2


def law_of_pairs(k: int) -> GaussianProcess:
  """`law` at the inputs with two ones alone."""
  train, test = inputs(k)
  return trained(train, permuted(train), test[pairs_of_ones(k)], bias=0.0)


def first_exact(
  k: int, repetitions: int, rng: np.random.Generator, process: Callable[[int], GaussianProcess] = law_of_pairs, most: int = 20_000
) -> np.ndarray:
  """Networks are added to an ensemble one by one until the sign of its mean is right for every bit of all inputs with two ones.

  Gives (repetitions,) floats; inf where `most` networks are not enough. `process` is the law at these inputs.
  """
  mean, covariance = process(k)
  # A ridge far below the variances keeps the factorisation positive definite despite rounding.
  root = np.linalg.cholesky(covariance + 1e-9 * covariance.trace() / len(covariance) * np.eye(len(covariance)))
  right = permuted(inputs(k)[1][pairs_of_ones(k)]) == 1
  sizes = np.full(repetitions, np.inf)
  for repetition in range(repetitions):
    total = np.zeros_like(mean)
    for start in range(0, most, 100):
      deviations = (root @ rng.standard_normal((len(mean), 100 * k))).reshape(len(mean), 100, k)
      totals = total + np.cumsum(mean + deviations.swapaxes(0, 1), axis=0)
      exact = ((totals > 0) == right).all(axis=(1, 2))
      if exact.any():
        sizes[repetition] = start + exact.argmax() + 1
        break
      total = totals[-1]
  return sizes
