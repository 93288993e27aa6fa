"""Softmax collapse: examples on which the arithmetic of the loss has gone silent."""

import jax
import jax.numpy as jnp

from dynamics import losses
from dynamics.components import component
from dynamics.types import Array, Probe, stateless


@component()
def collapse() -> Probe:
  """The share of training examples that no longer teach anything because of rounding.

  Reading:
    zero_loss (): the share of examples whose loss is exactly 0 in the loss's dtype: for cross-entropy those whose softmax
      denominator has been rounded to 1.
    zero_gradient (): the share whose gradient with respect to all outputs is exactly 0.
    zero_target_gradient (): the share in which the gradient of the true class's output is 0.
    logit_gap (), unit of an output: the largest distance between the two largest outputs of an example.
  Cost: one forward pass and the loss's own gradient on the training examples.
  Oracle: exact rational arithmetic of the rounded terms (numpy in the same dtype, term by term).
  Source: 2501.04697, figure 2 (softmax collapse).
  """

  def read(view, key):
    data = view.data.train
    outputs = view.problem.model.apply(view.variables, data.x)
    values, pull = jax.vjp(lambda z: losses.each(view.problem.loss, z, data.y), outputs)
    (gradient,) = pull(jnp.ones_like(values))
    true = gradient[:, 0] if outputs.shape[-1] == 1 else _true_class(gradient, data.y)
    share = lambda flags: jnp.mean(flags.astype(jnp.float32))
    return {
      'zero_loss': share(values == 0),
      'zero_gradient': share(jnp.all(gradient == 0, axis=-1)),
      'zero_target_gradient': share(true == 0),
      'logit_gap': jnp.max(_gap(outputs)),
    }

  return stateless(read)


def _gap(outputs: Array) -> Array:
  """Between the two largest outputs of each row, (n,); a sort would cost more than the forward pass."""
  if outputs.shape[-1] == 1:
    return jnp.abs(outputs[:, 0])
  predicted = jax.nn.one_hot(losses.predict(outputs), outputs.shape[-1], dtype=bool)
  return jnp.max(outputs, axis=-1) - jnp.max(jnp.where(predicted, -jnp.inf, outputs), axis=-1)


def _true_class(gradient: Array, targets: Array) -> Array:
  labels = targets if jnp.issubdtype(targets.dtype, jnp.integer) else jnp.argmax(targets, axis=-1)
  return jnp.take_along_axis(gradient, labels[:, None], axis=-1)[:, 0]
