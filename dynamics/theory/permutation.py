"""An infinitely wide network, and ensembles of such networks, that learn a permutation of k bits from k training inputs.

The network has one hidden relu layer and no biases. It is trained to convergence on the k standard basis vectors and tested
on all inputs with two bits or more. Source: 2502.16763.
"""

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


def ensemble_sizes(k: int, draws: int, rng: np.random.Generator) -> np.ndarray:
  """The ensemble size from which the sign of the mean output is right for every bit of every test input: (draws,), floats.

  The mean output of m networks is distributed as mu + Z / sqrt(m), where Z is the deviation of one network from its mean mu.
  For a draw of Z all signs are right if m > max (Z / mu)^2, over the bits for which Z and mu have opposite signs. Half of all
  ensembles whose size is the median over draws are right. No ensemble is built.
  """
  mean, covariance = law(k)
  # A ridge far below the variances keeps the factorisation positive definite despite rounding.
  root = np.linalg.cholesky(covariance + 1e-9 * covariance.trace() / len(covariance) * np.eye(len(covariance)))
  deviation = (root @ rng.standard_normal((len(mean), draws * k))).reshape(len(mean), draws, k)
  return np.square(np.maximum(-deviation / mean[:, None], 0)).max(axis=(0, 2))
