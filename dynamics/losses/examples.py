"""What all losses of single examples share: their arithmetic's dtype, the class of an answer, means over examples."""

from typing import Literal

import jax
import jax.numpy as jnp

from dynamics import contracts
from dynamics.trees import at_least_float32
from dynamics.types import Array, Loss

Dtype = Literal['float16', 'bfloat16', 'float32', 'float64']


def each(loss: Loss, outputs: Array, targets: Array) -> Array:
  """loss(outputs, targets), (n,), where their shapes and dtypes are those of a loss.

  Raises:
    ValueError: outputs and targets that numpy's rules would broadcast; labels of a kind or, where they are no tracers, of a
      value that no class has; a loss that is not one float an example.
  """
  contracts.predictions(outputs, targets)
  values = contracts.losses(loss(outputs, targets), outputs.shape[0])
  contracts.labels(targets, outputs.shape[1])
  return values


def predict(outputs: Array) -> Array:
  """The class of each row, (n,) int32: the largest logit, or the sign of a single output."""
  if outputs.shape[-1] == 1:
    return (outputs[:, 0] > 0).astype(jnp.int32)
  # Two plain reductions: XLA's argmax is one of pairs, several times slower on a CPU. Ties go to the first class.
  classes = jnp.arange(outputs.shape[-1], dtype=jnp.int32)[None]
  first = jnp.where(outputs == jnp.max(outputs, axis=-1, keepdims=True), classes, outputs.shape[-1] - 1)
  return jnp.min(first, axis=-1)


def correct(outputs: Array, targets: Array) -> Array:
  """(n,) bool. Float targets (n, k) count by their own class. A row with a NaN is wrong, whatever its argmax.

  Raises:
    ValueError: outputs and targets that no loss takes, as for `each`.
  """
  contracts.predictions(outputs, targets)
  contracts.labels(targets, outputs.shape[1])
  labels = targets if jnp.issubdtype(targets.dtype, jnp.integer) else predict(targets)
  return (predict(outputs) == labels.astype(jnp.int32)) & jnp.all(jnp.isfinite(outputs), axis=-1)


def mean(losses: Array) -> Array:
  """The mean over examples, summed in float32 at least."""
  return jnp.mean(at_least_float32(losses))


def caster(dtype: Dtype):
  if dtype == 'float64' and not jax.config.jax_enable_x64:
    raise ValueError("a float64 loss needs jax.config.update('jax_enable_x64', True) before anything runs")
  return lambda x: x.astype(jnp.dtype(dtype))
