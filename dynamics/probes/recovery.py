"""How much of a matrix of low rank has been recovered from its measurements, and where the rest lies."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp

from dynamics.linalg import dense
from dynamics.losses import Loss
from dynamics.schema import Range
from dynamics.trees import at_least_float32
from dynamics.types import Array, Probe


class Subspaces(NamedTuple):
  """Orthonormal: the signal's singular vectors."""

  left: Array  # (i, r)
  right: Array  # (j, r)


def recovery(apply: Callable[..., Array], loss: Loss, *, rank: Range(int, least=1) = 1) -> Probe:
  """The matrix R that a model of linear measurements holds, against the matrix M of the test examples.

  Reading: error, |R - M| (); relative, |R - M| / |M| (); and the parts of R - M by the first `rank` left and right singular
    vectors U, V of M: signal, |U^T (R - M) V| (); cross, what U or V alone reaches (); residual, what neither reaches (). The
    squares of the three sum to error^2. All norms are Frobenius, in units of M. weakest (), the smallest singular value of
    U^T R V: 0 until the last direction is learned.
  Cost: one forward pass over the test set, one entry of M an example; memory for U and V.
  Oracle: numpy in float64, with projectors as dense matrices.
  Source: 2202.08788 (signal and residual), 2310.01769. Other data than `matrix_sensing` are refused.
  """

  def truth(view):
    x, y = view.data.test
    if x.ndim != 3 or y.shape != (x.shape[1] * x.shape[2], 1):
      raise ValueError(f'recovery needs one test example an entry of a matrix, as matrix_sensing has; these are {x.shape}')
    return y.reshape(x.shape[1:])

  def init(view):
    u, _, vt = dense.svd(truth(view))
    if rank > u.shape[1]:
      raise ValueError(f'recovery: rank is {rank}, but the matrix is {u.shape[0]} x {vt.shape[1]}')
    return Subspaces(u[:, :rank], vt[:rank].T)

  def measure(view, kept, key):
    m, (u, v) = truth(view), kept
    found = at_least_float32(apply(view.variables, view.data.test.x)).astype(m.dtype).reshape(m.shape)
    gap = found - m
    rows, columns = u.T @ gap, gap @ v
    inside = rows @ v
    beside, below = rows - inside @ v.T, columns - u @ inside
    size = jnp.linalg.norm
    reading = {
      'error': size(gap),
      'relative': size(gap) / size(m),
      'signal': size(inside),
      'cross': jnp.hypot(size(beside), size(below)),
      'residual': size(gap - u @ rows - below @ v.T),
      'weakest': dense.singular_values(u.T @ found @ v)[-1],
    }
    return reading, kept

  return Probe(init, measure)
