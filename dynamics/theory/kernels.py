"""Kernels of infinitely wide dense networks: the covariance of their outputs (NNGP) and the tangent kernel (NTK).

The activation enters only through its `Dual`, two Gaussian averages, in closed form (`relu`, `erf`, `identity`) or by
numerical quadrature (`quadrature`).
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dynamics.types import Array

REACH = 7.0  # standard deviations up to which `quadrature` integrates; 3e-12 of the mass is outside

# (q1, q2, c) -> (E[phi(u) phi(v)], E[phi'(u) phi'(v)]) for Gaussian u, v of mean 0, variances q1, q2 and correlation c.
# The three arrays have the same dtype and rank, and broadcast.
Dual = Callable[[Array, Array, Array], tuple[Array, Array]]


class Kernels(NamedTuple):
  """Both (n, n'), for one output. Outputs are independent and identically distributed: the full kernel is this times I_k."""

  nngp: Array
  ntk: Array


def dense(
  dual: Dual,
  *,
  hidden: int = 1,
  weight: float = 1.0,
  weight_std: float = 1.0,
  bias: float = 1.0,
  bias_std: float = 0.0,
) -> Callable[..., Kernels]:
  """(x1, x2=None) -> Kernels, the limit of wide dense networks in the parametrisation of 1806.07572.

  Every layer computes weight * w h / sqrt(fan_in) + bias * b, with trained w ~ weight_std N(0, 1) and b ~ bias_std N(0, 1).
  All parameters have the same learning rate. The defaults correspond to `models.mlp` under the rule `ntk` with
  `inits.independent`, whose biases are trained but start at 0. `bias=0` corresponds to `models.mlp(bias=False)`, `weight_std`
  to the hyper value `init_scale`, and bias=beta, bias_std=1 to the paper. A multiplier `alpha` of the outputs multiplies both
  kernels by alpha^2.

  Args:
    dual: that of the activation: `relu`, `erf`, `identity` or `quadrature(function)`.
    hidden: the number of hidden layers; 0 is a linear model.
    weight, bias: multipliers of the parameters.
    weight_std, bias_std: standard deviations of the parameters at step 0.

  The kernels take floats x1 (n, ...) and x2 (n', ...), whose axes after the first are flattened. Tokens of `models.mlp` are
  represented by their counts (n, vocabulary). Without x2 the result is the kernel of x1 with itself, and its diagonal is
  exact. Other entries compute the angle between inputs from their inner product: for almost parallel inputs its rounding
  error e causes an error of sqrt(e) in the NTK of relu, about 3e-4 in float32.

  The NTK is sum_p df/dp(x1) df/dp(x2) for one output f. The kernel (n, n', k, k) of a finite network tends to this times I_k.

  Raises:
    ValueError: `hidden` below 0.

  Source: 1806.07572, proposition 1 (nngp) and theorem 1 (ntk).
  """
  if hidden < 0:
    raise ValueError(f'a network has 0 hidden layers or more, not {hidden}')
  weight_variance, bias_variance = (weight * weight_std) ** 2, (bias * bias_std) ** 2

  @precise
  def kernels(x1, x2=None):
    x1, x2, same = _rows(x1), _rows(x1 if x2 is None else x2), x2 is None
    d = x1.shape[1]
    q1, q2 = (weight_variance * jnp.sum(x * x, axis=1) / d + bias_variance for x in (x1, x2))
    second = x1 @ x2.T / d
    nngp, ntk = weight_variance * second + bias_variance, weight**2 * second + bias**2
    for _ in range(hidden):
      c = _correlation(nngp, q1[:, None], q2[None])
      c = jnp.where(jnp.eye(len(x1), dtype=bool), 1, c) if same else c
      second, slope = dual(q1[:, None], q2[None], c)
      q1, q2 = (weight_variance * dual(q, q, jnp.ones_like(q))[0] + bias_variance for q in (q1, q2))
      nngp, ntk = weight_variance * second + bias_variance, weight**2 * second + bias**2 + weight_variance * ntk * slope
    return Kernels(nngp, ntk)

  return kernels


def relu(q1: Array, q2: Array, c: Array) -> tuple[Array, Array]:
  """The dual of max(0, x): arc-cosine kernels of order 1 and 0. The derivative at 0 is 0, as in jax. Source: 1806.07572."""
  size, angle = jnp.sqrt(q1 * q2), jnp.arccos(c)
  second = size * (jnp.sqrt((1 - c) * (1 + c)) + (jnp.pi - angle) * c) / (2 * jnp.pi)
  return second, jnp.where(size > 0, (jnp.pi - angle) / (2 * jnp.pi), 0)


def erf(q1: Array, q2: Array, c: Array) -> tuple[Array, Array]:
  """The dual of erf(x): the arcsine kernel of Williams, Neural Computation 10 (1998), 1203. Source: 1902.06720."""
  k, size = c * jnp.sqrt(q1 * q2), (1 + 2 * q1) * (1 + 2 * q2)
  return 2 / jnp.pi * jnp.arcsin(2 * k / jnp.sqrt(size)), 4 / jnp.pi / jnp.sqrt(size - 4 * k * k)


def identity(q1: Array, q2: Array, c: Array) -> tuple[Array, Array]:
  """The dual of x: a linear network."""
  k = c * jnp.sqrt(q1 * q2)
  return k, jnp.ones_like(k)


def quadrature(function: Callable[[Array], Array], *, nodes: int = 64) -> Dual:
  """The dual of any elementwise function, by the midpoint rule on nodes^2 points within seven standard deviations.

  For smooth bounded activations, which have poles near the real axis, this converges faster than Gauss-Hermite quadrature:
  with 64 nodes the error for erf is 1e-12 at variance 1 and 1e-7 at variance 8. A kink at 0 causes an error of about
  2/nodes^2 of the variance in the first average, and 2/nodes in the second. The points are symmetric, so that a kernel matrix
  is symmetric up to rounding. At correlation 1 the two Gaussians are equal.

  Args:
    function: elementwise, differentiable by jax.
    nodes: the number per dimension; if it is even, a kink at 0 lies between two nodes. Memory is that of `nodes` kernels.
  """
  z = REACH * (2 * np.arange(nodes) + 1 - nodes) / nodes
  weights = np.exp(-(z**2) / 2)
  weights = weights / weights.sum()

  @precise
  def dual(q1, q2, c):
    z1, w1 = jnp.asarray(z, c.dtype), jnp.asarray(weights, c.dtype)
    # u and v are sum and difference of independent Gaussians: exchanging u and v only changes the sign of the second.
    sum_std, difference_std = jnp.sqrt((1 + c) / 2), jnp.sqrt((1 - c) / 2)

    def value_and_slope(u):
      return jax.jvp(function, (u,), (jnp.ones_like(u),))

    def add(sums, node):
      a, wa = node
      difference = jnp.expand_dims(difference_std, -1) * z1.reshape((1,) * difference_std.ndim + (-1,))
      total = jnp.expand_dims(sum_std * a, -1)
      f, df = value_and_slope(jnp.expand_dims(jnp.sqrt(q1), -1) * (total + difference))
      g, dg = value_and_slope(jnp.expand_dims(jnp.sqrt(q2), -1) * (total - difference))
      return (sums[0] + wa * ((f * g) @ w1), sums[1] + wa * ((df * dg) @ w1)), None

    zero = jnp.zeros(jnp.broadcast_shapes(q1.shape, q2.shape, c.shape), c.dtype)
    return jax.lax.scan(add, (zero, zero), (z1, w1))[0]

  return dual


def precise(function: Callable) -> Callable:
  """`function` with matrix products at full float32 precision, where a device would otherwise round the factors."""

  @functools.wraps(function)
  def exact(*args):
    with jax.default_matmul_precision('float32'):
      return function(*args)

  return exact


def _correlation(covariance: Array, q1: Array, q2: Array) -> Array:
  """The correlation, clipped to [-1, 1]; 0 where a variance is 0, because the result does not depend on it."""
  size = jnp.sqrt(q1) * jnp.sqrt(q2)
  return jnp.clip(covariance / jnp.where(size > 0, size, 1), -1, 1)


def _rows(x: Array) -> Array:
  """(n, ...) -> (n, d)."""
  return jnp.reshape(x, (x.shape[0], -1))
