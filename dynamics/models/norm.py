"""Batch normalisation in ghost batches (1705.08741), and by running statistics in training too (1903.10520)."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from dynamics import parallel
from dynamics.types import Array

EPSILON = 1e-5  # added to every variance


class GhostNorm(nn.Module):
  """Features of (n, h) activations with mean 0 and variance 1 within each ghost batch, then scaled and shifted.

  A ghost batch is `ghost` successive rows; 0 is the whole batch, which is plain batch normalisation. In evaluation the running
  statistics take their place. Where a batch is split over devices, a ghost batch lies within one of them and the whole batch
  spans all, so the numbers do not depend on the split.

  Raises:
    ValueError: in training, a batch, or a device's share of it, that is no multiple of `ghost`.
  """

  ghost: int
  rate: float  # eta, of the running statistics

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    h = x.shape[-1]
    scale = self.param('scale', nn.initializers.ones, (h,), jnp.float32).astype(x.dtype)
    shift = self.param('bias', nn.initializers.zeros, (h,), jnp.float32).astype(x.dtype)
    running = {
      'mean': self.variable('batch_stats', 'mean', jnp.zeros, (h,), jnp.float32),
      'var': self.variable('batch_stats', 'var', jnp.ones, (h,), jnp.float32),
    }
    if train:
      rows = self.ghost or x.shape[0]
      if x.shape[0] % rows:
        raise ValueError(f'model.ghost is {rows}, which does not divide the {x.shape[0]} examples of a batch on one device')
      parts = x.reshape((x.shape[0] // rows, rows, h))
      share = not self.ghost and parallel.split()  # the whole batch lies on several devices
      average = lambda v: jax.lax.pmean(jnp.mean(v, axis=1), parallel.DATA) if share else jnp.mean(v, axis=1)
      mean = average(parts)
      var = average(jnp.square(parts - mean[:, None]))
      out = ((parts - mean[:, None]) * jax.lax.rsqrt(var + EPSILON)[:, None]).reshape(x.shape)
      if not self.is_initializing():
        for name, seen in (('mean', mean), ('var', var)):
          seen = jax.lax.stop_gradient(seen).astype(jnp.float32)
          if self.ghost and parallel.split():
            seen = jax.lax.all_gather(seen, parallel.DATA, tiled=True)
          running[name].value = decayed(running[name].value, seen, self.rate)
    else:
      mean, var = (running[name].value.astype(x.dtype)[None] for name in ('mean', 'var'))
      out = (x - mean) * jax.lax.rsqrt(var + EPSILON)
    return out * scale[None] + shift[None]


class RunningNorm(nn.Module):
  """Features of (n, h) activations less their running mean, over the root of their running variance; then scaled and shifted.

  A training step first takes the batch into the running statistics, and no gradient goes through them. So a row does not see the
  others, and a batch may hold one example. Where it is split over devices, its statistics span all of them.
  """

  rate: float  # eta, of the running statistics

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    h = x.shape[-1]
    scale = self.param('scale', nn.initializers.ones, (h,), jnp.float32).astype(x.dtype)
    shift = self.param('bias', nn.initializers.zeros, (h,), jnp.float32).astype(x.dtype)
    mean = self.variable('batch_stats', 'mean', jnp.zeros, (h,), jnp.float32)
    var = self.variable('batch_stats', 'var', jnp.ones, (h,), jnp.float32)
    if train and not self.is_initializing():
      share = lambda v: jax.lax.pmean(v, parallel.DATA) if parallel.split() else v
      seen = jax.lax.stop_gradient(x).astype(jnp.float32)
      center = share(jnp.mean(seen, axis=0))
      mean.value += self.rate * (center - mean.value)
      var.value += self.rate * (share(jnp.mean(jnp.square(seen - center[None]), axis=0)) - var.value)
    out = (x - mean.value.astype(x.dtype)[None]) * jax.lax.rsqrt(var.value + EPSILON).astype(x.dtype)[None]
    return out * scale[None] + shift[None]


def decayed(running: Array, seen: Array, rate: float) -> Array:
  """The running statistic (h,) after those of n ghost batches (n, h), taken in turn.

  (1 - eta)^n running + sum_i (1 - eta)^(n - i) eta seen_i, for i = 1..n.
  """
  n = seen.shape[0]
  ages = jnp.arange(n - 1, -1, -1, dtype=running.dtype)
  return (1 - rate) ** n * running + jnp.sum(rate * ((1 - rate) ** ages)[:, None] * seen, axis=0)
