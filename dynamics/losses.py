"""Losses per example, computed in a chosen dtype.

Each maker returns `loss(outputs (n, k), targets) -> (n,)` in `dtype`. Only the outputs are cast: the network keeps its own
dtype, and the gradients that it receives have that dtype too.
"""

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp

from dynamics.trees import at_least_float32
from dynamics.types import Array

Loss = Callable[[Array, Array], Array]
Dtype = Literal['float16', 'bfloat16', 'float32', 'float64']

__all__ = ['cross_entropy', 'hinge', 'mean_absolute_error', 'mean_squared_error', 'stablemax']


def cross_entropy(*, dtype: Dtype = 'float32') -> Loss:
  """-log softmax(z)_y, with logits shifted by their maximum, as is usual. Targets: (n,) labels.

  The loss is exactly 0 once the other exponentials are below the rounding of 1 in `dtype`: softmax collapse.
  """
  cast = _caster(dtype)

  def loss(outputs, targets):
    z = cast(outputs)
    shifted = z - jax.lax.stop_gradient(jnp.max(z, axis=-1, keepdims=True))
    return jnp.log(jnp.sum(jnp.exp(shifted), axis=-1, dtype=z.dtype)) - _pick(shifted, targets)

  return loss


def stablemax(*, dtype: Dtype = 'float64') -> Loss:
  """-log s(z_y) / sum_j s(z_j), with s(x) = x + 1 for x >= 0 and 1 / (1 - x) below. Targets: (n,) labels.

  Source: 2501.04697 (StableMax); the authors' runs use float64.
  """
  cast = _caster(dtype)

  def loss(outputs, targets):
    z = cast(outputs)
    # The unused branch of `where` must not divide by zero, or its gradient is NaN.
    s = jnp.where(z >= 0, z + 1, 1 / (1 - jnp.minimum(z, 0)))
    return jnp.log(jnp.sum(s, axis=-1, dtype=z.dtype)) - jnp.log(_pick(s, targets))

  return loss


def mean_squared_error(*, dtype: Dtype = 'float32') -> Loss:
  """(1/2) sum_k (z_k - y_k)^2. Targets: (n, k) floats, or (n,) labels, which are one-hot encoded."""
  cast = _caster(dtype)

  def loss(outputs, targets):
    z = cast(outputs)
    return jnp.sum(jnp.square(z - _as_floats(targets, z)), axis=-1, dtype=z.dtype) / 2

  return loss


def mean_absolute_error(*, dtype: Dtype = 'float32') -> Loss:
  """sum_k |z_k - y_k|, with gradient 0 at the kink. Targets: (n, k) floats, or (n,) labels, which are one-hot encoded."""
  cast = _caster(dtype)

  def loss(outputs, targets):
    z = cast(outputs)
    return jnp.sum(jnp.abs(z - _as_floats(targets, z)), axis=-1, dtype=z.dtype)

  return loss


def hinge(*, dtype: Dtype = 'float32', margin: float = 1.0) -> Loss:
  """max(0, margin - gap), where gap is z_y - max_{j != y} z_j for k > 1 and (2y - 1) z for k = 1. Targets: (n,) labels."""
  cast = _caster(dtype)

  def loss(outputs, targets):
    z = cast(outputs)
    if z.shape[-1] == 1:
      gap = z[:, 0] * (2 * targets - 1).astype(z.dtype)
    else:
      is_label = jax.nn.one_hot(targets, z.shape[-1], dtype=bool)
      gap = _pick(z, targets) - jnp.max(jnp.where(is_label, -jnp.inf, z), axis=-1)
    return jnp.maximum(margin - gap, 0)

  return loss


def predict(outputs: Array) -> Array:
  """The predicted class of each row, (n,) int32: the argmax of the logits, or for k = 1 whether the output is positive."""
  if outputs.shape[-1] == 1:
    return (outputs[:, 0] > 0).astype(jnp.int32)
  # Two plain reductions: XLA's argmax reduces pairs and is several times slower on a CPU. Ties go to the first class.
  classes = jnp.arange(outputs.shape[-1], dtype=jnp.int32)[None]
  first = jnp.where(outputs == jnp.max(outputs, axis=-1, keepdims=True), classes, outputs.shape[-1] - 1)
  return jnp.min(first, axis=-1)


def correct(outputs: Array, targets: Array) -> Array:
  """Whether each prediction is right, (n,) bool. Float targets (n, k) stand for their own argmax.

  A row with an output that is not finite counts as wrong, whatever its argmax.
  """
  labels = targets if jnp.issubdtype(targets.dtype, jnp.integer) else predict(targets)
  return (predict(outputs) == labels) & jnp.all(jnp.isfinite(outputs), axis=-1)


def mean(losses: Array) -> Array:
  """The mean over examples, a scalar; half-precision losses are summed in float32."""
  return jnp.mean(at_least_float32(losses))


def _caster(dtype: Dtype):
  if dtype == 'float64' and not jax.config.jax_enable_x64:
    raise ValueError("a float64 loss needs jax.config.update('jax_enable_x64', True) before anything runs")
  return lambda x: x.astype(jnp.dtype(dtype))


def _as_floats(targets: Array, z: Array) -> Array:
  """Targets (n, k) with the dtype of z (n, k); labels become one-hot vectors."""
  are_labels = jnp.issubdtype(targets.dtype, jnp.integer)
  return jax.nn.one_hot(targets, z.shape[-1], dtype=z.dtype) if are_labels else targets.astype(z.dtype)


def _pick(z: Array, labels: Array) -> Array:
  """z[i, labels[i]] for each row i, NaN if the label is not a class.

  Computed as a sum of one term and zeros, which is exact: the gradient of an index would be a scatter, which is slow.
  """
  is_label = jax.nn.one_hot(labels, z.shape[-1], dtype=bool)
  picked = jnp.sum(jnp.where(is_label, z, jnp.zeros((), z.dtype)), axis=-1, dtype=z.dtype)
  return jnp.where(jnp.any(is_label, axis=-1), picked, jnp.full((), jnp.nan, z.dtype))
