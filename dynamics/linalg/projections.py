"""Tangent kernels of many outputs, such as the logits at all positions of a text, from random projections of the outputs.

For a vector r over the outputs of one example, r . f is a function of a single output, and its kernel is r^T Theta(x, x') r. With
independent entries of mean 0 and variance 1, E[r r^T] = 1, so that E[r^T Theta r] = sum_k Theta_kk, the trace over outputs. Its
cost is that of one output, however many there are. Source: Hutchinson 1990 (the estimate), 2206.08720 (the exact kernel's cost).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from dynamics.linalg.ntk import ntk
from dynamics.types import Array, Key, Variables

DIRECTION = 'direction of outputs'  # a collection beside those of the model
Kernel = Array | dict[str, Array]


def directional_ntk(
  apply: Callable[..., Array], variables: Variables, x1: Array, x2: Array | None = None, *, direction: Array, **choices
) -> Kernel:
  """r^T Theta(x, x') r: (n1, n2), for one vector r over the outputs of an example. With `leaves` a dict of these.

  Args:
    apply, variables, x1, x2: as for `ntk`.
    direction: r, with the shape of the outputs of one example: (k,) or (l, k).
    choices: of `ntk`: method, chunk, diagonal, leaves, dtype, budget.

  Raises:
    ValueError: as for `ntk`; a direction of another shape.
  """
  shape = jax.eval_shape(apply, variables, x1).shape[1:]
  if direction.shape != shape:
    raise ValueError(f'direction has shape {direction.shape}, but the outputs of one example have {shape}')

  def along(variables, x):
    of_model = {name: value for name, value in variables.items() if name != DIRECTION}
    outputs = apply(of_model, x)
    return jnp.sum((outputs * variables[DIRECTION].astype(outputs.dtype)[None]).reshape(outputs.shape[0], -1), axis=1)[:, None]

  return ntk(along, {**variables, DIRECTION: direction}, x1, x2, **choices)


def projected_ntk(
  apply: Callable[..., Array],
  variables: Variables,
  x1: Array,
  x2: Array | None = None,
  *,
  key: Key,
  projections: int = 32,
  **choices,
) -> Kernel:
  """Independent draws (v, n1, n2) of the trace over outputs, sum_k Theta_kk(x, x'): their mean is unbiased for it.

  Draw i is r_i^T Theta r_i, with r_i of independent signs, the same for all examples; with `leaves` a dict of draws.
  `traces.estimate` of the draws, or of any linear function of each of them, is the mean with its standard error. The variance of
  the mean of an entry is 2 sum_{k != l} S_kl^2 / v, where S is the symmetric part of Theta(x, x'). Call it under `jit`: outside
  of it, every call compiles again.

  Args:
    apply, variables, x1, x2: as for `ntk`; outputs may be (n, k), or (n, l, k) of positions, which are summed too.
    key: the same key gives the same directions, so that kernels of two networks differ by what the networks do.
    projections: v, each a forward and a backward pass on all examples, and a kernel of a single output.
    choices: of `ntk`: method, chunk, diagonal, leaves, dtype, budget.

  Raises:
    ValueError: as for `ntk`; fewer than one projection.
  """
  if projections < 1:
    raise ValueError(f'{projections} projections were asked for; at least 1 is needed')
  shape = jax.eval_shape(apply, variables, x1).shape[1:]

  def draw(key):
    direction = jax.random.rademacher(key, shape, jnp.float32)
    return directional_ntk(apply, variables, x1, x2, direction=direction, **choices)

  return jax.lax.map(draw, jax.random.split(key, projections))
