"""Losses of sequences: a sum over the positions that have a label."""

import jax.numpy as jnp

from dynamics.losses.examples import at_least_float32, each
from dynamics.types import Array, Loss


def per_sequence(loss: Loss, labels: Array) -> Loss:
  """A loss of outputs (n, l, k) and labels (n, l), whose mean over all sequences is the mean of `loss` over all their labels.

  That of a sequence is the sum over its positions, over the mean number of labels of a sequence. So a part of the batch weighs
  what it weighs in the whole, and what takes losses of single examples, as `linalg.products` does, takes these in microbatches.

  Args:
    loss: of single positions, (n, k) and (n,) to (n,).
    labels: of the whole batch, (n, l) whole numbers; negative ones are padding and count for nothing.

  Returns:
    (outputs, labels) -> (n,), of the whole batch or a part of it.

  Raises:
    ValueError: labels that are not (n, l) whole numbers; outputs and labels of other shapes.
  """
  if labels.ndim != 2 or not jnp.issubdtype(labels.dtype, jnp.integer):
    raise ValueError(f'the labels of sequences are whole numbers (n, l), but these are {labels.dtype}{labels.shape}')
  counts = jnp.sum(labels >= 0, axis=1)

  def value(outputs, labels):
    if outputs.ndim != 3 or labels.shape != outputs.shape[:2]:
      raise ValueError(f'sequences need outputs (n, l, k) and labels (n, l), but they are {outputs.shape} and {labels.shape}')
    real = labels >= 0
    flat = each(loss, outputs.reshape(-1, outputs.shape[-1]), jnp.where(real, labels, 0).reshape(-1))
    sums = jnp.sum(jnp.where(real, at_least_float32(flat).reshape(real.shape), 0), axis=1)
    return sums / jnp.mean(counts.astype(sums.dtype))

  return value
