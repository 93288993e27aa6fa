"""How well the network does: loss and accuracy on the training and the test examples."""

from collections.abc import Callable

import jax.numpy as jnp

from dynamics.losses import Loss, correct, mean
from dynamics.trees import at_least_float32
from dynamics.types import Array, Probe, stateless


def performance(apply: Callable[..., Array], loss: Loss) -> Probe:
  """Loss and accuracy in evaluation mode, over all examples of each split.

  Reading: train_loss, test_loss (), in the loss's unit; train_accuracy, test_accuracy (), a share of 1, and their
    standard errors train_loss_se, test_loss_se, train_accuracy_se, test_accuracy_se () as samples of examples.
  Cost: one forward pass over both splits; memory of one pass.
  Oracle: the same from numpy in float64, example by example.
  Source: none; a row of outputs that holds a NaN counts as wrong.
  """

  def read(view, key):
    out = {}
    for name, split in (('train', view.data.train), ('test', view.data.test)):
      outputs = apply(view.variables, split.x)
      losses, hits = loss(outputs, split.y), correct(outputs, split.y).astype(jnp.float32)
      out[f'{name}_loss'], out[f'{name}_accuracy'] = mean(losses), jnp.mean(hits)
      out[f'{name}_loss_se'], out[f'{name}_accuracy_se'] = standard_error(losses), standard_error(hits)
    return out

  return stateless(read)


def standard_error(sample: Array) -> Array:
  """Of the mean of a sample (n,); NaN for a single value, which says nothing of its spread."""
  return jnp.std(at_least_float32(sample), ddof=1) / sample.shape[0] ** 0.5
