"""What is left to learn, example by example."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from dynamics.losses import Loss
from dynamics.schema import Range
from dynamics.trees import at_least_float32
from dynamics.types import Array, Probe, stateless


def residuals(apply: Callable[..., Array], loss: Loss, *, examples: Range(int, least=1) = 32) -> Probe:
  """The derivative of each training example's loss by its outputs: outputs minus targets for the squared loss.

  Reading: residual (n, k), of the first `examples` training examples, in the loss's unit over the outputs'. Gradient flow moves
    the outputs by minus the tangent kernel times it, over the number of examples.
  Cost: one forward pass over these examples; no memory.
  Oracle: finite differences of the loss in float64.
  Source: 1806.07572, section 3 (the functional gradient of the cost).
  """

  def read(view, key):
    x, y = (part[:examples] for part in view.data.train)
    outputs = apply(view.variables, x)
    return {'residual': jax.grad(lambda z: jnp.sum(at_least_float32(loss(z, y))))(outputs)}

  return stateless(read)
