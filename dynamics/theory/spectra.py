"""Spectra of random data, and the learning curves of linear students that follow from them. Plain numpy.

A spectrum is a rule of summation, values and weights: one data set's eigenvalues, or the nodes of a limiting law.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Spectrum(NamedTuple):
  """Means over eigenvalues: f(values) @ weights. What the weights lack to 1 is the share of eigenvalue 0."""

  values: np.ndarray  # (p,), all positive
  weights: np.ndarray  # (p,)


class Law(NamedTuple):
  """A limiting spectrum: a density on (low, high), and the mass `zero` at 0 that it lacks."""

  low: float
  high: float
  zero: float
  density: Callable[[np.ndarray], np.ndarray]  # 0 outside of (low, high)
  stieltjes: Callable[[np.ndarray], np.ndarray]  # the mean of 1 / (eigenvalue - z), those at 0 included; z off the support
  spectrum: Spectrum  # for means over the density


def marchenko_pastur(ratio: float, *, variance: float = 1.0, nodes: int = 512) -> Law:
  """The spectrum of x^T x / n, (d, d), for n examples of d independent features, both numbers large.

  Args:
    ratio: d / n. Above 1 a share 1 - n / d of the eigenvalues is 0.
    variance: of a feature. Advani and Saxe have x^T x with features of variance 1/d: that is ratio d / n, variance n / d.
    nodes: of `spectrum`, whose means are right to rounding for smooth functions. At ratio 1, where the density reaches 0
      and diverges, a function must be smooth over distances of 1/nodes^2.

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
    root = np.sqrt(z - low) * np.sqrt(z - high)  # the branch that goes like z
    return (variance * (1 - ratio) - z + root) / (scale * z)

  # In the angle of eigenvalue = middle - half cos(angle) the integrand is smooth and periodic: midpoints are enough.
  angle = np.pi * (np.arange(nodes) + 0.5) / nodes
  half = (high - low) / 2
  values = low + 2 * half * np.sin(angle / 2) ** 2
  weights = (half * np.sin(angle)) ** 2 / (scale * values) / nodes
  return Law(low, high, max(0.0, 1 - 1 / ratio), density, stieltjes, Spectrum(values, weights))


def sampled(x: np.ndarray) -> Spectrum:
  """The spectrum of x^T x, (d, d), of one data set x (n, d); eigenvalues below rounding count as 0."""
  x = np.asarray(x, float)
  values = np.linalg.svd(x, compute_uv=False) ** 2
  values = values[values > np.finfo(float).eps * max(x.shape) * values[0]]
  return Spectrum(values, np.full(len(values), 1 / x.shape[1]))


# ---- learning curves --------------------------------------------------------------------------------------------


def generalisation(
  t: np.ndarray, spectrum: Spectrum, *, teacher: float = 1.0, start: float = 0.0, noise: float = 0.0, tau: float = 1.0
) -> np.ndarray:
  """The mean squared test error E_g(t), (t,), of a linear student that learns y = w.x + noise by gradient flow.

  Every feature of x (n, d) has variance 1/d. Directions of eigenvalue 0 never move: they keep their first error, and no noise.

  Args:
    t: times.
    spectrum: of x^T x: `sampled(x)`, or `marchenko_pastur(d / n, variance=n / d).spectrum`.
    teacher, start: variances of the weights of the teacher and, at time 0, of the student.
    noise: variance of the labels' noise, in the test set too.
    tau: for steps times learning rate as t and a loss that is the mean over n examples (1/2)(f - y)^2: n.

  Source: 1710.03667, the exact dynamics of shallow linear networks; `losses.mean_squared_error` is half of this error.
  """
  t = np.asarray(t, float)
  gone = np.exp(-np.multiply.outer(t / tau, spectrum.values))
  learned = (teacher + start) * gone**2 + noise / spectrum.values * (1 - gone) ** 2
  return learned @ spectrum.weights + (teacher + start) * (1 - spectrum.weights.sum()) + noise


def stopping_time(spectrum: Spectrum, *, teacher: float = 1.0, start: float = 0.0, noise: float = 0.0, tau: float = 1.0) -> float:
  """The time at which `generalisation` is least; infinity without noise. Arguments as there.

  One mode alone is best at (tau / eigenvalue) log(1 + eigenvalue (teacher + start) / noise). The best time of all lies
  between the first and the last of these, and is found there by bisection on the slope of the error.

  Source: 1710.03667 (optimal stopping time).
  """
  if noise == 0:
    return float('inf')
  alone = np.log1p(spectrum.values * (teacher + start) / noise) / spectrum.values
  low, high = alone.min(), alone.max()
  for _ in range(100):
    middle = (low + high) / 2
    gone = np.exp(-spectrum.values * middle)
    slope = (noise * (1 - gone) - spectrum.values * (teacher + start) * gone) * gone
    low, high = (middle, high) if slope @ spectrum.weights < 0 else (low, middle)
  return float(tau * (low + high) / 2)
