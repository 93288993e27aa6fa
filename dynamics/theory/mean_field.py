"""Signal propagation in wide random networks: the maps of variance and correlation from layer to layer, by mean-field theory.

`weight_variance` is sigma_w^2, the variance of sqrt(fan_in) times a weight, and `bias_variance` is sigma_b^2. All arrays of a
call have the same shape, so that one call computes a whole phase diagram. The activation enters through its dual
(`dynamics.theory.kernels`).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from dynamics.theory.kernels import Dual
from dynamics.types import Array


class FixedPoint(NamedTuple):
  """The fixed point of the variance and correlation maps, and the depth scales on which it is approached."""

  variance: Array  # q*
  correlation: Array  # c*, 1 in the ordered phase; NaN if q* = 0
  slope: Array  # chi_1, of the correlation map at 1: the growth of squared gradients per layer, above 1 in the chaotic phase
  variance_depth: Array  # xi_q, in layers: |q - q*| decays like exp(-layer / xi_q)
  correlation_depth: Array  # xi_c, in layers: networks can be trained up to a depth of a few xi_c


def variance(dual: Dual, q: Array, weight_variance: Array, bias_variance: Array) -> Array:
  """The variance of the next layer's preactivations, sigma_w^2 E[phi(sqrt(q) z)^2] + sigma_b^2.

  Source: 1606.05340 (length map).
  """
  return weight_variance * dual(q, q, jnp.ones_like(q))[0] + bias_variance


def correlation(dual: Dual, c: Array, q: Array, weight_variance: Array, bias_variance: Array) -> Array:
  """The next layer's correlation of two inputs with correlation c, both with the fixed-point variance q. Source: 1606.05340."""
  return (weight_variance * dual(q, q, c)[0] + bias_variance) / q


def fixed_point(
  dual: Dual, weight_variance: Array, bias_variance: Array, *, start: float = 1.0, layers: int = 1000
) -> FixedPoint:
  """The fixed point of both maps that a deep network reaches from variance `start` and correlation 1/2.

  Both maps are iterated `layers` times. At the edge of chaos, where convergence is only a power of depth, the result is the
  state after that many layers. A variance without a fixed point grows to infinity.

  Args:
    dual: that of the activation, differentiable in its variances.
    weight_variance, bias_variance: arrays of the same shape and dtype.

  Source: 1606.05340 (chi_1); 1611.01232 (xi_q and xi_c).
  """
  variance_step = lambda q: variance(dual, q, weight_variance, bias_variance)
  q = jax.lax.fori_loop(0, layers, lambda _, q: variance_step(q), jnp.full_like(weight_variance, start))
  correlation_step = lambda _, c: jnp.clip(correlation(dual, c, q, weight_variance, bias_variance), -1, 1)
  c = jax.lax.fori_loop(0, layers, correlation_step, jnp.full_like(weight_variance, 0.5))
  slope_at = lambda c: weight_variance * dual(q, q, c)[1]
  variance_slope = jax.jvp(variance_step, (q,), (jnp.ones_like(q),))[1]
  depth = lambda slope: 1 / jnp.abs(jnp.log(jnp.abs(slope)))
  return FixedPoint(q, c, slope_at(jnp.ones_like(q)), depth(variance_slope), depth(slope_at(c)))


def critical(dual: Dual, q: Array) -> tuple[Array, Array]:
  """(weight_variance, bias_variance) at the edge of chaos with fixed-point variance q, where the slope chi_1 is 1.

  All q > 0 together give the critical line. For relu it is the single point (2, 0); for tanh it begins at (1, 0) for q = 0. A
  negative bias variance means that no network on the line has this q. Source: 1606.05340 (order-to-chaos transition).
  """
  second, slope = dual(q, q, jnp.ones_like(q))
  weight_variance = 1 / slope
  return weight_variance, q - weight_variance * second
