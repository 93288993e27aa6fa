"""Arithmetic: what a function needs, counted from shapes, and what the machine reaches on one large product."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from dynamics.jaxprs import inner

SIDE = 2048


def of_products(function: Callable, *args) -> int:
  """2 m k n for every matrix product (m, k) (k, n) of a function, batches of them included; all else counts nothing.

  Products inside a loop count once.
  """
  return _products(jax.make_jaxpr(function)(*args).jaxpr)


def _products(jaxpr) -> int:
  return sum(_product(eqn) + sum(map(_products, inner(eqn))) for eqn in jaxpr.eqns)


def _product(eqn) -> int:
  if eqn.primitive.name != 'dot_general':
    return 0
  (contracted, _), _ = eqn.params['dimension_numbers']
  left = eqn.invars[0].aval.shape
  return 2 * math.prod(eqn.outvars[0].aval.shape) * math.prod(left[axis] for axis in contracted)


def square_product() -> Callable[[], float]:
  """A side for `timing.alternate`: one float32 product of SIDE x SIDE matrices; returns its floating-point operations."""
  a = jax.random.normal(jax.random.key(0), (SIDE, SIDE), jnp.float32)
  multiply = jax.jit(jnp.matmul)

  def work():
    multiply(a, a).block_until_ready()
    return 2.0 * SIDE**3

  return work
