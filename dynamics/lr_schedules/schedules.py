"""Factors on the learning rate as functions of the step t = 0, 1, ..."""

import jax.numpy as jnp

from dynamics.components import component
from dynamics.schema import Range, Traced
from dynamics.types import Array

Warmup = Range(int, least=0)


@component()
def constant(steps: int, *, warmup: Warmup = 0):
  """1, after `warmup` steps in which it rises linearly."""
  return (lambda t: _rise(t, warmup)) if warmup else None


@component()
def cosine(steps: int, *, warmup: Warmup = 0):
  """(1 + cos(pi t / steps)) / 2: from 1 to 0 at the end of the run, times a linear rise over `warmup` steps."""

  def factor(t):
    share = jnp.minimum(t.astype(jnp.float32) / max(steps, 1), 1.0)
    return _rise(t, warmup) * 0.5 * (1.0 + jnp.cos(jnp.pi * share))

  return factor


@component()
def drops(steps: int, *, drop_every: Traced(least=1.0), drop: Traced(above=0.0, most=1.0) = 0.1, warmup: Warmup = 0):
  """drop^floor(t / drop_every): the rate is multiplied by `drop` after every `drop_every` steps."""
  return lambda t: _rise(t, warmup) * jnp.asarray(drop, jnp.float32) ** jnp.floor(t.astype(jnp.float32) / drop_every)


@component()
def geometric(steps: int, *, decay: Traced(above=0.0, most=1.0) = 1.0, warmup: Warmup = 0):
  """decay^t."""
  return lambda t: _rise(t, warmup) * jnp.exp(t.astype(jnp.float32) * jnp.log(jnp.asarray(decay, jnp.float32)))


def _rise(t: Array, warmup: int) -> Array:
  return jnp.minimum(1.0, (t.astype(jnp.float32) + 1.0) / max(warmup, 1))
