"""Losses of float targets (n, k), of single examples; labels (n,) count as one-hot vectors."""

import jax
import jax.numpy as jnp

from dynamics import contracts
from dynamics.components import component
from dynamics.losses.examples import Dtype, caster
from dynamics.types import Array, Loss


@component()
def mean_squared_error(*, dtype: Dtype = 'float32') -> Loss:
  """(1/2) sum_k (z_k - y_k)^2. Targets: (n, k) floats, or (n,) labels, taken as one-hot."""
  cast = caster(dtype)

  def loss(outputs, targets):
    z = cast(outputs)
    return jnp.sum(jnp.square(z - as_numbers(targets, z)), axis=-1, dtype=z.dtype) / 2

  return loss


@component()
def mean_absolute_error(*, dtype: Dtype = 'float32') -> Loss:
  """sum_k |z_k - y_k|, with gradient 0 at the kink. Targets: (n, k) floats, or (n,) labels, taken as one-hot."""
  cast = caster(dtype)

  def loss(outputs, targets):
    z = cast(outputs)
    return jnp.sum(jnp.abs(z - as_numbers(targets, z)), axis=-1, dtype=z.dtype)

  return loss


def as_numbers(targets: Array, z: Array) -> Array:
  """Targets as numbers like z (n, k): labels as one-hot vectors.

  Raises:
    ValueError: shapes that numpy's rules would broadcast; labels where there is a single output, which has no classes.
  """
  contracts.predictions(z, targets)
  labels = jnp.issubdtype(targets.dtype, jnp.integer)
  if labels and z.shape[-1] == 1:
    raise ValueError(
      f'the targets are labels {targets.shape}, but the model has a single output: give numbers as floats '
      f'({z.shape[0]}, 1); of classes take the hinge loss, or two outputs'
    )
  contracts.labels(targets, z.shape[1])
  return jax.nn.one_hot(targets, z.shape[-1], dtype=z.dtype) if labels else targets.astype(z.dtype)
