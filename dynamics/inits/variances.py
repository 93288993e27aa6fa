"""Gaussian inits with a variance of their own: for an activation, for interval bounds, or by the number of a layer's block."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from dynamics.activations import ACTIVATIONS, Activation
from dynamics.components import component
from dynamics.inits import distributions
from dynamics.inits.branches import block_numbers
from dynamics.inits.independent import Init, Scale, filled, independent
from dynamics.schema import Range, Traced
from dynamics.types import Array

FLAT = 1e-3  # the slope below which an activation is flat
BESIDE_0 = 1e-4  # where slopes at 0 are read: the error of a smooth one is of the order of its square


@component()
def recommended(*, activation: Activation = 'relu', init_scale: Scale = 1.0) -> Init:
  """N(0, (gain init_scale)^2 / fan_in) with the gain that carries a small signal through the activation, `recommended_gain`.

  Raises:
    ValueError: an activation that is flat at 0, such as 'gaussian'.
  Source: 1704.08863.
  """
  with jax.ensure_compile_time_eval():
    recommended_gain(ACTIVATIONS[activation])  # which refuses one without a slope outside of traces alone
  gain = recommended_gain(ACTIVATIONS[activation])
  return independent(distributions.gaussian, gain * jnp.asarray(init_scale, jnp.float32))


def recommended_gain(activation: Callable) -> Array:
  """g of weights N(0, g^2 / fan_in) that keep the variance of a small signal: g^2 = 1 / (s (1 + phi(0)^2)), s = phi'(0)^2.

  At a kink s is the mean of the squared slopes on both sides, which is 1/2 for relu, so that g^2 = 2.

  Raises:
    ValueError: outside of traces, an activation that is flat at 0.
  Source: 1704.08863 (the variance for activations differentiable at 0, and the one for relu).
  """
  right, left = (jax.grad(activation)(jnp.float32(x)) for x in (BESIDE_0, -BESIDE_0))
  square = (right**2 + left**2) / 2
  if not isinstance(square, jax.core.Tracer) and square < FLAT**2:
    raise ValueError('the activation is flat at 0, so no variance of the weights carries a small signal through it')
  return jax.lax.rsqrt(square * (1 + activation(jnp.float32(0)) ** 2))


@component()
def ibp(*, init_scale: Scale = 1.0) -> Init:
  """N(0, 2 pi init_scale^2 / fan_in^2): through dense layers and relu, interval bounds neither widen nor shrink.

  A layer widens an interval by fan_in E|w|, and relu halves it, so that E|w| = 2 / fan_in.
  Source: 2103.17268 (IBP initialisation).
  """

  def weight(key, leaf):
    size = jnp.asarray(init_scale, jnp.float32) * ((2 * math.pi) ** 0.5 / leaf.fan_in)
    return distributions.gaussian(key, leaf) * size.astype(leaf.dtype)

  return lambda key, leaves, data: filled(weight, key, leaves, alike=lambda leaf: ())


@component()
def lir(*, branches_per_block: Range(int, least=1) = 2, init_std: Traced(least=0.0) = 0.02) -> Init:
  """Layer index rescaling: weights of the l-th block, l = 1, 2, ..., are N(0, init_std^2 / l); all others keep init_std.

  In a network with residual branches, as many successive ones as `branches_per_block` are a block. In one without, every weight
  is a block of its own.

  Args:
    branches_per_block: 2 in a transformer, whose blocks hold attention and a dense branch.
    init_std: the standard deviation in the first block, of the weights themselves, whatever their fan_in.

  Raises:
    ValueError: in the init: weights of several blocks in one array, as in a scan over layers.
  Source: 2503.17500.
  """

  def init(key, leaves, data, *, model):
    numbers = block_numbers(model, data, leaves, branches_per_block)

    def weight(key, leaf):
      size = jnp.asarray(init_std, jnp.float32) * numbers.get(leaf.name, 1) ** -0.5
      return distributions.gaussian(key, leaf) * size.astype(leaf.dtype)

    return filled(weight, key, leaves)

  return init
