"""What is left to learn, example by example."""

import jax
import jax.numpy as jnp

from dynamics import losses
from dynamics.components import component
from dynamics.probes.evaluation import first
from dynamics.schema import Range
from dynamics.trees import at_least_float32
from dynamics.types import Probe, stateless


@component()
def residuals(*, examples: Range(int, least=1) = 32) -> Probe:
  """The derivative of each training example's loss by its outputs: outputs minus targets for the squared loss.

  Gradient flow moves the outputs by minus the tangent kernel times it, over the number of examples.

  Reading:
    residual (n, k), the loss over an output: of the first `examples` (n) training examples.
  Cost: one forward pass over these examples; no state.
  Oracle: finite differences of the loss in float64.
  Source: 1806.07572, section 3 (the functional gradient of the cost).
  """

  def read(view, key):
    x, y = first(view.data.train, examples)
    outputs = view.problem.model.apply(view.variables, x)
    return {'residual': jax.grad(lambda z: jnp.sum(at_least_float32(losses.each(view.problem.loss, z, y))))(outputs)}

  return stateless(read)
