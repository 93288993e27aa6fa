"""The mean loss of the tokens of sequences."""

import jax.numpy as jnp

from dynamics import contracts, losses
from dynamics.components import component
from dynamics.schema import Range
from dynamics.types import Aux


@component(needs=('labels',))
def next_token(*, padding: Range(int, most=-1) = -1):
  """mean over all positions (n, l) whose label is not `padding` of loss(f(x)_nl, y_nl); the model answers (n, l, k).

  Nodes of a graph are positions too: labels (n, v) of a model that answers at each node.

  Args:
    padding: the label of positions that count for nothing.

  Raises:
    ValueError: outputs or labels of other shapes; labels, where they are no tracers, that no class has.
  """

  def objective(model, loss, source):
    def value(variables, batch, key):
      outputs, trace = model.forward(variables, batch.x, key=key, train=True)
      if outputs.ndim != 3 or batch.y.shape != outputs.shape[:2]:
        raise ValueError(
          f'next_token needs outputs (n, l, k) and labels (n, l), but they are {outputs.shape} and {batch.y.shape}'
        )
      contracts.labels(batch.y, outputs.shape[-1], padding=padding)
      real = batch.y != padding
      labels = jnp.where(real, batch.y, 0).reshape(-1)
      each = losses.each(loss, outputs.reshape((-1, outputs.shape[-1])), labels).reshape(real.shape)
      each = jnp.where(real, each, 0)
      total, count = jnp.sum(losses.at_least_float32(each)), jnp.sum(real)
      of_example = jnp.sum(each, axis=1) / jnp.maximum(jnp.sum(real, axis=1), 1).astype(each.dtype)
      return total / jnp.maximum(count, 1).astype(total.dtype), Aux(outputs, of_example, trace.mutated)

    return value

  return objective
