"""Signals in wide random networks: how a layer maps the size of its preactivations and the angle between two of them.

The operands are `weight` and `bias`, the variances sigma_w^2 of sqrt(fan_in) times a weight and sigma_b^2 of a bias, and
arrays of one shape everywhere, so that a whole phase diagram is one call. The activation enters through its dual
(`dynamics.theory.kernels`).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from dynamics.theory.kernels import Dual
from dynamics.types import Array


class FixedPoint(NamedTuple):
  """Where a deep network's signals end, and how many layers they need."""

  variance: Array  # q*
  correlation: Array  # c*, 1 in the ordered phase; NaN where q* = 0
  slope: Array  # chi_1: of the correlation map at 1. Below 1 ordered, above 1 chaotic: the mean growth of squared gradients
  variance_depth: Array  # xi_q, layers; distances to q* shrink like exp(-layer / xi_q)
  correlation_depth: Array  # xi_c, layers; the depth to which a network can be trained is a few of these


def variance(dual: Dual, q: Array, weight: Array, bias: Array) -> Array:
  """The variance of the next layer's preactivations, weight E[phi(sqrt(q) z)^2] + bias. Source: 1606.05340 (length map)."""
  return weight * dual(q, q, jnp.ones_like(q))[0] + bias


def correlation(dual: Dual, c: Array, q: Array, weight: Array, bias: Array) -> Array:
  """The next layer's correlation of two inputs whose variance is the fixed point q. Source: 1606.05340."""
  return (weight * dual(q, q, c)[0] + bias) / q


def fixed_point(dual: Dual, weight: Array, bias: Array, *, start: float = 1.0, layers: int = 1000) -> FixedPoint:
  """The fixed point of both maps that a network of many layers reaches from variance `start` and correlation 1/2.

  It is found as a network would, by going through `layers` layers: at the edge of chaos, where the distance falls like a
  power of depth, the answer is what it is there. Variances without a fixed point grow to infinity.

  Args:
    dual: of the activation, differentiable in its variances.
    weight, bias: arrays of one shape and dtype.

  Source: 1606.05340 (chi_1); 1611.01232 (xi_q and xi_c).
  """
  q = jax.lax.fori_loop(0, layers, lambda _, q: variance(dual, q, weight, bias), jnp.full_like(weight, start))
  step = lambda _, c: jnp.clip(correlation(dual, c, q, weight, bias), -1, 1)
  c = jax.lax.fori_loop(0, layers, step, jnp.full_like(weight, 0.5))
  slope_at = lambda c: weight * dual(q, q, c)[1]
  growth = jax.jvp(lambda q: variance(dual, q, weight, bias), (q,), (jnp.ones_like(q),))[1]
  depth = lambda slope: 1 / jnp.abs(jnp.log(jnp.abs(slope)))
  return FixedPoint(q, c, slope_at(jnp.ones_like(q)), depth(growth), depth(slope_at(c)))


def critical(dual: Dual, q: Array) -> tuple[Array, Array]:
  """The point (weight, bias) of the edge of chaos whose variance is q: slope 1 at that fixed point.

  All q > 0 together are the critical line. For relu it is the one point (2, 0); for tanh it begins at (1, 0), where q
  is 0. Where bias comes out negative no network has that variance on the line. Source: 1606.05340 (order-to-chaos transition).
  """
  second, slope = dual(q, q, jnp.ones_like(q))
  weight = 1 / slope
  return weight, q - weight * second
