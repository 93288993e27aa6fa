"""Spectra of random data, and the learning curves of linear regression that follow from them, in numpy.

A spectrum is a quadrature rule for means over eigenvalues: the eigenvalues of one data set, or nodes of a limiting density.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Spectrum(NamedTuple):
  """f(values) @ weights is the mean of f over positive eigenvalues; 1 - sum(weights) is the fraction of eigenvalues at 0."""

  values: np.ndarray  # (p,), all positive
  weights: np.ndarray  # (p,)


class SpectralDistribution(NamedTuple):
  """A limiting distribution of eigenvalues: a density on (low, high), and an atom at 0."""

  low: float
  high: float
  zero: float  # the mass of the atom; the density integrates to the rest
  density: Callable[[np.ndarray], np.ndarray]  # 0 outside (low, high)
  stieltjes: Callable[[np.ndarray], np.ndarray]  # z off the support -> the mean of 1 / (eigenvalue - z), with the atom
  spectrum: Spectrum  # a quadrature rule for the density


def marchenko_pastur(ratio: float, *, variance: float = 1.0, nodes: int = 512) -> SpectralDistribution:
  """The limiting eigenvalues of x^T x / n, (d, d), for n examples of d independent features, as n and d go to infinity.

  Args:
    ratio: d / n. Above 1 a fraction 1 - n / d of the eigenvalues is 0.
    variance: that of a feature. Advani and Saxe have x^T x with features of variance 1/d: here ratio d / n, variance n / d.
    nodes: the size of `spectrum`, which is exact up to rounding for smooth functions. At ratio 1, where the density reaches 0
      and diverges, the function must be smooth on the scale 1/nodes^2.

  Raises:
    ValueError: a ratio or a variance that is not positive.

  Source: Marchenko and Pastur, Math. USSR Sbornik 1 (1967), 457; 1710.03667.
  """
  if ratio <= 0 or variance <= 0:
    raise ValueError(f'features per example and their variance are positive, not {ratio} and {variance}')
  low, high = variance * (1 - ratio**0.5) ** 2, variance * (1 + ratio**0.5) ** 2
  scale = 2 * ratio * variance

  def density(values):
    values = np.asarray(values, float)
    inside = (values > low) & (values < high)
    safe = np.where(inside, values, high)
    return np.sqrt((high - safe) * (safe - low)) / (np.pi * scale * safe)

  def stieltjes(z):
    z = np.asarray(z, complex)
    root = np.sqrt(z - low) * np.sqrt(z - high)  # the branch that behaves like z at infinity
    return (variance * (1 - ratio) - z + root) / (scale * z)

  # With eigenvalue = centre - half cos(angle) the integrand is smooth and periodic, so the midpoint rule converges fast.
  angle = np.pi * (np.arange(nodes) + 0.5) / nodes
  half = (high - low) / 2
  values = low + 2 * half * np.sin(angle / 2) ** 2
  weights = (half * np.sin(angle)) ** 2 / (scale * values) / nodes
  return SpectralDistribution(low, high, max(0.0, 1 - 1 / ratio), density, stieltjes, Spectrum(values, weights))


def sampled(x: np.ndarray) -> Spectrum:
  """The spectrum of x^T x, (d, d), for one data set x (n, d); eigenvalues of rounding size count as 0."""
  x = np.asarray(x, float)
  values = np.linalg.svd(x, compute_uv=False) ** 2
  values = values[values > np.finfo(float).eps * max(x.shape) * values[0]]
  return Spectrum(values, np.full(len(values), 1 / x.shape[1]))


# ---- learning curves --------------------------------------------------------------------------------------------


def generalisation(
  t: np.ndarray, spectrum: Spectrum, *, teacher: float = 1.0, start: float = 0.0, noise: float = 0.0, tau: float = 1.0
) -> np.ndarray:
  """The mean squared test error E_g(t), (t,), of linear regression on y = w.x + noise by gradient flow.

  Features of x (n, d) have variance 1/d. Eigenvectors with eigenvalue 0 are not learned: their error stays as it is at t = 0.

  Args:
    t: times, (t,).
    spectrum: that of x^T x: `sampled(x)`, or `marchenko_pastur(d / n, variance=n / d).spectrum`.
    teacher, start: variances of the weights w of the teacher, and of the student at time 0.
    noise: variance of the label noise, in the training set and in the test set.
    tau: the unit of t. It is n if t is steps times learning rate and the loss is the mean of (1/2)(f - y)^2 over n examples.

  Source: 1710.03667, the exact dynamics of shallow linear networks. `losses.mean_squared_error` is half of this error.
  """
  t = np.asarray(t, float)
  decay = np.exp(-np.multiply.outer(t / tau, spectrum.values))
  errors = (teacher + start) * decay**2 + noise / spectrum.values * (1 - decay) ** 2
  return errors @ spectrum.weights + (teacher + start) * (1 - spectrum.weights.sum()) + noise


def stopping_time(spectrum: Spectrum, *, teacher: float = 1.0, start: float = 0.0, noise: float = 0.0, tau: float = 1.0) -> float:
  """The time at which `generalisation` is smallest, with its arguments; infinity without noise.

  The error of one eigenvector is smallest at (tau / eigenvalue) log(1 + eigenvalue (teacher + start) / noise). The optimum of
  their sum lies between the earliest and the latest of these times, and is found by bisection on the slope of the error.

  Source: 1710.03667 (optimal stopping time).
  """
  if noise == 0:
    return float('inf')
  optima = np.log1p(spectrum.values * (teacher + start) / noise) / spectrum.values
  low, high = optima.min(), optima.max()
  for _ in range(100):
    middle = (low + high) / 2
    decay = np.exp(-spectrum.values * middle)
    slope = (noise * (1 - decay) - spectrum.values * (teacher + start) * decay) * decay
    low, high = (middle, high) if slope @ spectrum.weights < 0 else (low, middle)
  return float(tau * (low + high) / 2)
