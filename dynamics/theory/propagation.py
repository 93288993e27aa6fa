"""Mean-field maps of variance and correlation for any activation, in numpy: what figures draw beside networks.

`dynamics.theory.mean_field` has the same in jax, for whole phase diagrams at once. `phi` is elementwise; `weight_variance` is
sigma_w^2, the variance of sqrt(fan_in) times a weight, and `bias_variance` sigma_b^2; all are single numbers.
"""

from collections.abc import Callable

import numpy as np

Phi = Callable[[np.ndarray], np.ndarray]

Z = np.linspace(-8, 8, 400)  # standard deviations; an even number, so that a kink at 0 lies between two
DENSITY = np.exp(-(Z**2) / 2) / np.exp(-(Z**2) / 2).sum()
BESIDE = 1e-5  # half the distance over which slopes are read, in standard deviations


def variance(phi: Phi, q: float, weight_variance: float, bias_variance: float) -> float:
  """The variance of the next layer's preactivations, sigma_w^2 E[phi(sqrt(q) z)^2] + sigma_b^2. Source: 1606.05340."""
  return weight_variance * (DENSITY @ phi(np.sqrt(q) * Z) ** 2) + bias_variance


def correlation(phi: Phi, c: float, q: float, weight_variance: float, bias_variance: float) -> float:
  """The next layer's correlation of two inputs of correlation c and variance q each. Source: 1606.05340."""
  u, v = np.sqrt(q) * Z[:, None], np.sqrt(q) * (c * Z[:, None] + np.sqrt(max(1 - c * c, 0.0)) * Z)
  covariance = weight_variance * (DENSITY @ (phi(u) * phi(v)) @ DENSITY) + bias_variance
  return covariance / variance(phi, q, weight_variance, bias_variance)


def slope(phi: Phi, q: float, weight_variance: float) -> float:
  """chi_1 = sigma_w^2 E[phi'(sqrt(q) z)^2]: what squared gradients grow by a layer. Source: 1606.05340, 1611.01232."""
  derivative = (phi(np.sqrt(q) * Z + BESIDE) - phi(np.sqrt(q) * Z - BESIDE)) / (2 * BESIDE)
  return weight_variance * (DENSITY @ derivative**2)


def layers(phi: Phi, q: float, c: float, weight_variance: float, bias_variance: float, count: int) -> np.ndarray:
  """(count, 2): variance and correlation layer by layer, from q and c of the first on."""
  path = [(q, c)]
  for _ in range(count - 1):
    q, c = path[-1]
    path.append((variance(phi, q, weight_variance, bias_variance), correlation(phi, c, q, weight_variance, bias_variance)))
  return np.array(path)


def fixed_variance(phi: Phi, weight_variance: float, bias_variance: float, count: int = 1000) -> float:
  """q*, the variance after so many layers from 1 on."""
  q = 1.0
  for _ in range(count):
    q = variance(phi, q, weight_variance, bias_variance)
  return q


def critical(phi: Phi, q: float) -> tuple[float, float]:
  """(sigma_w^2, sigma_b^2) at the edge of chaos with fixed-point variance q: chi_1 = 1. Source: 1606.05340."""
  weight_variance = 1 / slope(phi, q, 1.0)
  return weight_variance, q - variance(phi, q, weight_variance, 0.0)
