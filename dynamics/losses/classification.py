"""Losses of labels (n,), of single examples, with the dtype of their arithmetic under control.

`make(dtype=...)` gives `loss(outputs (n, k), labels) -> (n,)` in that dtype. Only the outputs are cast: the network before them
keeps its own dtype, and so do the gradients that come back to it.
"""

import jax
import jax.numpy as jnp

from dynamics import contracts
from dynamics.components import component
from dynamics.losses.examples import Dtype, caster
from dynamics.schema import Traced
from dynamics.types import Array, Loss


@component(needs=('labels',))
def cross_entropy(*, dtype: Dtype = 'float32') -> Loss:
  """-log softmax(z)_y, shifted by the largest logit as everyone does. Targets: (n,) labels.

  In this form the loss is exactly 0 once the other exponentials vanish beside 1 in `dtype`: softmax collapse.
  """
  cast = caster(dtype)

  def loss(outputs, targets):
    _check(outputs, targets, 'cross_entropy', several=True)
    z = cast(outputs)
    shifted = z - jax.lax.stop_gradient(jnp.max(z, axis=-1, keepdims=True))
    return jnp.log(jnp.sum(jnp.exp(shifted), axis=-1, dtype=z.dtype)) - pick(shifted, targets)

  return loss


@component(needs=('labels',))
def stablemax(*, dtype: Dtype = 'float64') -> Loss:
  """-log s(z_y) / sum_j s(z_j), with s(x) = x + 1 for x >= 0 and 1 / (1 - x) below. Targets: (n,) labels.

  Source: 2501.04697 (StableMax); the authors' runs use float64.
  """
  cast = caster(dtype)

  def loss(outputs, targets):
    _check(outputs, targets, 'stablemax', several=True)
    z = cast(outputs)
    # The branch that is not taken must not divide by zero, or its gradient is NaN.
    s = jnp.where(z >= 0, z + 1, 1 / (1 - jnp.minimum(z, 0)))
    return jnp.log(jnp.sum(s, axis=-1, dtype=z.dtype)) - jnp.log(pick(s, targets))

  return loss


@component(needs=('labels',))
def hinge(*, dtype: Dtype = 'float32', margin: Traced(above=0.0) = 1.0) -> Loss:
  """max(0, margin - gap): the gap is z_y - max of the others for k > 1, and (2y - 1) z for one output. Labels (n,)."""
  cast = caster(dtype)

  def loss(outputs, targets):
    _check(outputs, targets, 'hinge')
    z = cast(outputs)
    if z.shape[-1] == 1:
      gap = z[:, 0] * (2 * targets.astype(z.dtype) - 1)
    else:
      mine = jax.nn.one_hot(targets, z.shape[-1], dtype=bool)
      gap = pick(z, targets) - jnp.max(jnp.where(mine, -jnp.inf, z), axis=-1)
    return jnp.maximum(jnp.asarray(margin, z.dtype) - gap, 0)

  return loss


def _check(outputs: Array, targets: Array, name: str, several: bool = False) -> None:
  contracts.predictions(outputs, targets)
  if not jnp.issubdtype(targets.dtype, jnp.integer):
    raise ValueError(f'{name} needs labels (n,) of whole numbers, but the targets are {targets.dtype}{targets.shape}')
  if several and outputs.shape[1] == 1:
    raise ValueError(f'{name} is 0 for a model with a single output, whatever it says: take the hinge loss, or two outputs')
  contracts.labels(targets, outputs.shape[1])


def pick(z: Array, labels: Array) -> Array:
  """z of the label in each row, NaN where no class has that label.

  A sum of zeros and one term is exact, and its gradient needs no scatter, which is slow.
  """
  mine = jax.nn.one_hot(labels, z.shape[-1], dtype=bool)
  picked = jnp.sum(jnp.where(mine, z, jnp.zeros((), z.dtype)), axis=-1, dtype=z.dtype)
  return jnp.where(jnp.any(mine, axis=-1), picked, jnp.full((), jnp.nan, z.dtype))
