"""The start of a factorised matrix: Gaussian factors, of which only some columns take part."""

import jax
import jax.numpy as jnp

from dynamics.components import component
from dynamics.inits.independent import Init, filled
from dynamics.leaves import weights
from dynamics.schema import Traced


@component()
def factors(
  *, factor_rank: Traced(least=1.0) = 2.0**24, right_scale: Traced(least=0.0) = 1.0, init_scale: Traced(least=0.0) = 1.0
) -> Init:
  """Factors F (i, h) and, where there is a second leaf, G (h, j), with entries N(0, s^2 / i) and N(0, (s c)^2 / j).

  Args:
    factor_rank: only so many of the h columns are drawn, and the others are 0. Those stay 0 under every gradient method, so the
      width of a factorisation can be traced. A smaller rank has the first columns of a larger one; h or more draws all.
    right_scale: c.
    init_scale: s.

  Raises:
    ValueError: in the init: weights that are neither one matrix nor two whose inner sides agree.
  Source: 2310.01769, 2202.08788 (small random initial factors).
  """

  def init(key, leaves, data):
    matrices = weights(leaves)
    shapes = [leaf.shape for leaf in matrices]
    if len(matrices) not in (1, 2) or any(len(s) != 2 for s in shapes) or (len(matrices) == 2 and shapes[0][1] != shapes[1][0]):
      text = ', '.join(f'{leaf.name} {leaf.shape}' for leaf in matrices)
      raise ValueError(f'factors start one matrix, or two whose product is one; the weights are {text}')

    def draw(key, leaf):
      first = leaf.name == matrices[0].name
      inner, outer = leaf.shape[::-1] if first else leaf.shape
      size = jnp.asarray(init_scale, jnp.float32)
      if not first:
        size = size * jnp.asarray(right_scale, jnp.float32)
      is_drawn = jnp.arange(inner, dtype=jnp.float32) < jnp.asarray(factor_rank, jnp.float32)
      is_drawn = is_drawn[None] if first else is_drawn[:, None]
      drawn = jax.random.normal(key, leaf.shape, leaf.dtype)
      return jnp.where(is_drawn, drawn * (size * outer**-0.5).astype(leaf.dtype), 0)

    return filled(draw, key, leaves)

  return init
