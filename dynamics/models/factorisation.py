"""A matrix as a product of two factors, and its answers to linear measurements."""

import flax.linen as nn
import jax.numpy as jnp

from dynamics.components import component
from dynamics.schema import Range
from dynamics.types import Array


class Factorisation(nn.Module):
  """(n, i, j) measurement matrices A to (n, 1) answers <A, R>: R = left left^T, or left right.

  The parameters left (i, width) and right (width, j) take the dtype of the inputs. A column of zeros in `left`, with a row of
  zeros in `right` where there is one, has no gradient: it stays so, and R is as if it were not there.
  """

  width: int
  symmetric: bool
  outputs: int = 1

  @nn.compact
  def __call__(self, x: Array) -> Array:
    if x.ndim != 3 or not jnp.issubdtype(x.dtype, jnp.floating) or self.outputs != 1:
      raise ValueError(
        f'a factorisation answers linear measurements (n, i, j) with one number, but the inputs are {x.shape} of {x.dtype} '
        f'with {self.outputs} outputs: take data matrix_sensing'
      )
    rows, columns = x.shape[1:]
    if self.symmetric and rows != columns:
      raise ValueError(f'symmetric factors need square measurements, but these are {rows} x {columns}')
    draw = nn.initializers.normal(rows**-0.5)
    left = self.param('left', draw, (rows, self.width), x.dtype)
    right = left.T if self.symmetric else self.param('right', draw, (self.width, columns), x.dtype)
    return x.reshape((x.shape[0], -1)) @ (left @ right).reshape((-1, 1))


@component()
def factorisation(
  outputs: int, vocabulary: int | None = None, *, width: Range(int, least=1) = 5, symmetric: bool = True
) -> nn.Module:
  """A matrix X X^T, or F G of different factors, with `width` columns of the left factor."""
  return Factorisation(width, symmetric, outputs)
