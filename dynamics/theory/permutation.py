"""Permutations of bits learned from single bits alone, by an infinitely wide network and by ensembles of such networks.

The network has one hidden relu layer and no biases, and is trained on the k standard basis vectors until it fits.
Source: 2502.16763.
"""

import numpy as np

from dynamics.theory.relu_limit import Law, trained


def inputs(k: int) -> tuple[np.ndarray, np.ndarray]:
  """The training inputs, (k, k) the basis vectors, and the unseen ones, (2^k - 1 - k, k): those with two bits or more.

  In the order of the numbers that they write, the first bit counting 1.
  """
  bits = (np.arange(1, 2**k)[:, None] >> np.arange(k)[None]) & 1
  single = bits.sum(axis=1) == 1
  return bits[single].astype(float), bits[~single].astype(float)


def permuted(x: np.ndarray) -> np.ndarray:
  """Bits one place further, and the last in front: the permutation that we take. All have the same law, up to names."""
  return np.roll(x, 1, axis=1)


def law(k: int) -> Law:
  """Mean (m, k) and covariance (m, m) of one network's outputs at the unseen inputs."""
  seen, unseen = inputs(k)
  return trained(seen, permuted(seen), unseen, bias=0.0)


def margins(k: int) -> tuple[float, float]:
  """The least mean over bits that should be 1, and the largest over those that should be 0, at unseen inputs."""
  on = permuted(inputs(k)[1]) == 1
  mean = law(k).mean
  return float(mean[on].min()), float(mean[~on].max(initial=-np.inf))


def ensemble_sizes(k: int, draws: int, rng: np.random.Generator) -> np.ndarray:
  """(draws,) how many networks it takes until the sign of their mean is right for every bit of every unseen input.

  The mean of m networks is mu + Z / sqrt(m) with Z a draw of one network's deviation, so that a draw of Z is overcome from
  m = max (Z / mu)^2 on, over the bits where Z pulls the wrong way. At the median over draws, half of all ensembles of that
  size are exact. A real number: no ensemble is built.
  """
  mean, covariance = law(k)
  # A little on the diagonal, far below the variances, makes rounding harmless to the factorisation.
  root = np.linalg.cholesky(covariance + 1e-9 * covariance.trace() / len(covariance) * np.eye(len(covariance)))
  deviation = (root @ rng.standard_normal((len(mean), draws * k))).reshape(len(mean), draws, k)
  return np.square(np.maximum(-deviation / mean[:, None], 0)).max(axis=(0, 2))
