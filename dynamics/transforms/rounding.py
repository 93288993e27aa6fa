"""Weights that a forward pass sees in fewer bits than they are trained in."""

from typing import Literal

import jax
import jax.numpy as jnp

from dynamics.components import component
from dynamics.leaves import map_leaves
from dynamics.transforms.parametrization import on_params


@component()
def rounded_weights(*, dtype: Literal['float8_e4m3fn', 'float8_e5m2', 'float16', 'bfloat16'] = 'float8_e4m3fn'):
  """Weights are rounded to `dtype` wherever they are used, and the gradient passes as if they were not.

  What is beyond the largest finite number becomes that number. Biases and scales are left alone, and so are activations and
  gradients. Put after a parametrization, in the order of the config, it rounds what is trained; before it, what the module sees.

  Args:
    dtype: 'float8_e4m3fn' has 3 bits of fraction, 2^-9 as the smallest number and 448 as the largest; 'float8_e5m2' has 2 bits,
      2^-16 and 57,344.

  Raises:
    ValueError: in the transform: a model whose layers a subspace hides, or one that has been rounded.
  Source: 2209.05433 (the formats); 2407.17465 (networks that they suffice for).
  """
  largest = float(jnp.finfo(dtype).max)

  def rounded(w):
    near = jnp.clip(w, -largest, largest).astype(dtype).astype(w.dtype)
    return jax.lax.stop_gradient(near) + (w - jax.lax.stop_gradient(w))

  def transform(model):
    if 'rounded_weights' in model.transforms:
      raise ValueError('transforms has rounded_weights twice: leave one of them out')
    if 'subspace' in model.transforms:
      raise ValueError('rounded_weights acts on layers, which a subspace hides: put it before the subspace')
    weights = lambda params: map_leaves(
      lambda leaf, w: w if leaf.role in ('bias', 'scale') else rounded(w), model.leaves(), params
    )
    forward = lambda variables, x, **mode: model.forward(on_params(weights, variables), x, **mode)
    return model._replace(forward=forward, transforms=(*model.transforms, 'rounded_weights'))

  return transform
