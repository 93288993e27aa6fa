"""Kernels of infinitely wide dense networks: the covariance of their outputs (NNGP) and the tangent kernel (NTK).

An activation enters through its `Dual` alone: two Gaussian averages, in closed form (`relu`, `erf`, `identity`) or by
quadrature (`quadrature`).
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dynamics.types import Array

REACH = 7.0  # standard deviations within which `quadrature` looks; 3e-12 of the mass is outside

# (q1, q2, c) -> (E[phi(u) phi(v)], E[phi'(u) phi'(v)]) for Gaussian u, v of mean 0, variances q1, q2 and correlation c.
# The three arrays have one dtype and broadcast at equal rank.
Dual = Callable[[Array, Array, Array], tuple[Array, Array]]


class Kernels(NamedTuple):
  """Both (n, n'), per output: outputs are independent and alike, so that the full kernel is this times the identity."""

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

  Every layer computes weight w h / sqrt(fan_in) + bias b, with trained w ~ weight_std N(0, 1) and b ~ bias_std N(0, 1),
  and all parameters have the same learning rate. The defaults are `models.mlp` under the rule `ntk` with
  `inits.independent`, whose biases are trained but start at 0; `bias=0` is `models.mlp(bias=False)`; the paper has
  bias=beta, bias_std=1; and the hyper value `init_scale` is `weight_std`. A multiplier `alpha` of the outputs
  multiplies both kernels by alpha^2.

  Args:
    dual: of the activation: `relu`, `erf`, `identity` or `quadrature(function)`.
    hidden: hidden layers; 0 is a linear model.
    weight, bias: multipliers of the parameters.
    weight_std, bias_std: standard deviations of the parameters at step 0.

  The kernels take x1 (n, ...) and x2 (n', ...), floats, whose axes after the first are flattened; tokens of `models.mlp`
  go in as their counts (n, vocabulary). Without x2, x1 meets itself, and the diagonal is exact. Elsewhere the angle
  between inputs comes from their inner product, whose rounding error e makes an error of sqrt(e) in the NTK of relu
  where two inputs are almost parallel: about 3e-4 in float32.

  The NTK is sum_p df/dp(x1) df/dp(x2): the finite kernel (n, n', k, k) has it on the diagonal of its outputs.

  Raises:
    ValueError: `hidden` below 0.

  Source: 1806.07572, proposition 1 (nngp) and theorem 1 (ntk).
  """
  if hidden < 0:
    raise ValueError(f'a network has 0 hidden layers or more, not {hidden}')
  forward, start = (weight * weight_std) ** 2, (bias * bias_std) ** 2

  @precise
  def kernels(x1, x2=None):
    x1, x2, same = _rows(x1), _rows(x1 if x2 is None else x2), x2 is None
    d = x1.shape[1]
    q1, q2 = (forward * jnp.sum(x * x, axis=1) / d + start for x in (x1, x2))
    second = x1 @ x2.T / d
    nngp, ntk = forward * second + start, weight**2 * second + bias**2
    for _ in range(hidden):
      c = _correlation(nngp, q1[:, None], q2[None])
      c = jnp.where(jnp.eye(len(x1), dtype=bool), 1, c) if same else c
      second, slope = dual(q1[:, None], q2[None], c)
      q1, q2 = (forward * dual(q, q, jnp.ones_like(q))[0] + start for q in (q1, q2))
      nngp, ntk = forward * second + start, weight**2 * second + bias**2 + forward * ntk * slope
    return Kernels(nngp, ntk)

  return kernels


def relu(q1: Array, q2: Array, c: Array) -> tuple[Array, Array]:
  """The dual of max(0, x): arc-cosine kernels of order 1 and 0. The slope at 0 is 0, as jax has it. Source: 1806.07572."""
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

  For smooth functions the rule converges faster than Gauss-Hermite quadrature, because a bounded activation has poles close
  to the real axis: with 64 nodes erf is right to 1e-12 at variance 1 and 1e-7 at 8. A kink at 0 costs about 2/nodes^2
  of the variance, and 2/nodes in the second average. The points are symmetric, so that a kernel matrix is symmetric to
  rounding, and at correlation 1 the two Gaussians are one.

  Args:
    function: elementwise, differentiable by jax.
    nodes: in one dimension; an even number keeps a kink at 0 between two of them. Memory is that of `nodes` kernels.
  """
  z = REACH * (2 * np.arange(nodes) + 1 - nodes) / nodes
  weights = np.exp(-(z**2) / 2)
  weights = weights / weights.sum()

  @precise
  def dual(q1, q2, c):
    z1, w1 = jnp.asarray(z, c.dtype), jnp.asarray(weights, c.dtype)
    # u and v as sum and difference of independent Gaussians: exchanging u and v only changes the sign of the second.
    shared, apart = jnp.sqrt((1 + c) / 2), jnp.sqrt((1 - c) / 2)

    def both(u):
      return jax.jvp(function, (u,), (jnp.ones_like(u),))

    def add(sums, node):
      a, wa = node
      there = jnp.expand_dims(apart, -1) * z1.reshape((1,) * apart.ndim + (-1,))
      here = jnp.expand_dims(shared * a, -1)
      f, df = both(jnp.expand_dims(jnp.sqrt(q1), -1) * (here + there))
      g, dg = both(jnp.expand_dims(jnp.sqrt(q2), -1) * (here - there))
      return (sums[0] + wa * ((f * g) @ w1), sums[1] + wa * ((df * dg) @ w1)), None

    zero = jnp.zeros(jnp.broadcast_shapes(q1.shape, q2.shape, c.shape), c.dtype)
    return jax.lax.scan(add, (zero, zero), (z1, w1))[0]

  return dual


def precise(function: Callable) -> Callable:
  """`function` with products of matrices at full precision, where a device would by itself round their factors."""

  @functools.wraps(function)
  def exact(*args):
    with jax.default_matmul_precision('float32'):
      return function(*args)

  return exact


def _correlation(covariance: Array, q1: Array, q2: Array) -> Array:
  """In [-1, 1]; 0 where a variance is 0, because any value will do there."""
  size = jnp.sqrt(q1) * jnp.sqrt(q2)
  return jnp.clip(covariance / jnp.where(size > 0, size, 1), -1, 1)


def _rows(x: Array) -> Array:
  return jnp.reshape(x, (x.shape[0], -1))
