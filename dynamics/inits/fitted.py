"""Inits fitted to data: every layer is rescaled by what it gives on the first examples of the training set.

Layers follow one another in the forward pass in evaluation mode, and each sees what the ones before it give after their own
change. Where a layer gives no spread on the data, as on inputs of zeros, a compiled start has numbers that are not finite.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from dynamics import trees
from dynamics.components import component
from dynamics.inits import distributions
from dynamics.inits.independent import Init, Plain, independent
from dynamics.inits.layerwise import refitted
from dynamics.leaves import Leaf, matrix_shape
from dynamics.schema import Range, Traced
from dynamics.types import Array


@component()
def lsuv(
  *, distribution: Plain = 'orthogonal', examples: Range(int, least=2) = 256, tolerance: Range(float, least=0.0) = 0.1
) -> Init:
  """Layer-sequential unit variance: orthonormal weights, each divided by the standard deviation of its layer's outputs.

  It is taken over examples, positions and units together, before activation and with biases 0. A layer is linear in its
  weight, so one division does what the paper's loop does. Embeddings count as layers; position embeddings stay as drawn.

  Args:
    distribution: of the weights before that.
    examples: how many of the training set are passed.
    tolerance: a layer whose standard deviation is no farther from 1 stays as drawn.

  Raises:
    ValueError: in the init: weights inside of a loop, or in which a layer is not linear; outside of traces, no spread.
  Source: 1511.06422 (algorithm 1).
  """
  draw = independent(getattr(distributions, distribution), looped=False)  # else what is fitted to them rounds otherwise

  def init(key, leaves, data, *, model):
    def visit(leaf, w, layer):
      if leaf.role == 'bias':
        return w
      std = positive(leaf, jnp.std(trees.at_least_float32(layer(w))))
      factor = jnp.where(jnp.abs(std - 1) > tolerance, 1 / std, 1)
      return w * factor.astype(w.dtype)

    variables = {**model.init(key, data), 'params': draw(key, leaves, data)}
    return refitted(model, data, leaves, variables, examples, visit)

  return init


@component()
def unit_normalised(*, examples: Range(int, least=2) = 256, init_scale: Traced(least=0.0) = 1.0) -> Init:
  """The data-dependent start of weight normalisation: every unit has mean 0 and standard deviation init_scale on the data.

  A unit's Gaussian weights are divided by the standard deviation s of what they give over examples and positions, and its bias
  is -m / s, m being the mean: with g = 1 / s and b = -m / s this is what w = g v / |v| and b begin at.

  Args:
    examples: how many of the training set are passed.
    init_scale: multiplies the weights and biases of all layers.

  Raises:
    ValueError: in the init: weights inside of a loop, that are no matrices, or in which a layer is not linear; outside of traces,
      units without spread.
  Source: 1602.07868 (section 3, equations 5 and 6).
  """
  draw = independent(distributions.gaussian, looped=False)  # else what is fitted to them rounds otherwise

  def init(key, leaves, data, *, model):
    size = jnp.asarray(init_scale, jnp.float32)

    def visit(leaf, w, layer):
      if leaf.role == 'bias':
        return -mean_of_units(layer, w)
      return w * (size / positive(leaf, std_of_units(leaf, layer, w))).astype(w.dtype)

    variables = {**model.init(key, data), 'params': draw(key, leaves, data)}
    return refitted(model, data, leaves, variables, examples, visit)

  return init


def std_of_units(leaf: Leaf, layer: Callable[[Array], Array], w: Array) -> Array:
  """The standard deviation of each unit over examples and positions, in at least float32: as w, with 1 for its input axes.

  What the layer gives is linear in a factor on each unit's weights. Its derivative along these factors sums outputs over what
  belongs to a unit, wherever the layer puts it.

  Raises:
    ValueError: a weight one axis of which holds both inputs and outputs.
  """
  matrix_shape(leaf)
  units = jnp.ones([1 if k in leaf.inputs else n for k, n in enumerate(leaf.shape)], w.dtype)
  outputs, summed = jax.vjp(lambda factors: layer(w * factors), units)
  mean, square = (trees.at_least_float32(summed(v)[0]) * (units.size / outputs.size) for v in (jnp.ones_like(outputs), outputs))
  return jnp.sqrt(jnp.maximum(square - jnp.square(mean), 0))


def mean_of_units(layer: Callable[[Array], Array], bias: Array) -> Array:
  """The mean over examples and positions of what the layer gives without its bias, for each entry of the bias."""
  outputs, summed = jax.vjp(layer, jnp.zeros_like(bias))
  return summed(outputs)[0] * jnp.asarray(bias.size / outputs.size, bias.dtype)


def positive(leaf: Leaf, std: Array) -> Array:
  """`std`, of what a layer gives.

  Raises:
    ValueError: outside of traces, one that is 0.
  """
  if not isinstance(std, jax.core.Tracer) and not bool((std > 0).all()):
    raise ValueError(f'{leaf.name} {leaf.shape} gives outputs without spread on these data, so that none can be made 1')
  return std
