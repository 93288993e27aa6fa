"""How much of a matrix of low rank has been recovered from its measurements, and where the rest lies."""

from typing import NamedTuple

import jax.numpy as jnp

from dynamics.components import component
from dynamics.linalg import dense
from dynamics.probes.evaluation import array
from dynamics.schema import Range
from dynamics.trees import at_least_float32
from dynamics.types import Array, Probe


class Subspaces(NamedTuple):
  """Orthonormal: the signal's singular vectors."""

  left: Array  # (i, r)
  right: Array  # (j, r)


@component(needs=('features', 'float_targets'))
def recovery(*, rank: Range(int, least=1) = 1) -> Probe:
  """The matrix R that a model of linear measurements holds, against the matrix M of the test examples.

  U, V are the first `rank` left and right singular vectors of M. All norms are Frobenius.

  Reading:
    error (), an entry of M: |R - M|; its square is the sum of the squares of signal, cross and residual.
    relative (): |R - M| / |M|.
    signal (), an entry of M: |U^T (R - M) V|.
    cross (), an entry of M: the part of R - M that U or V alone reaches.
    residual (), an entry of M: the part of R - M that neither reaches.
    weakest (), an entry of M: the smallest singular value of U^T R V: 0 until the last direction is learned.
  Cost: one forward pass over the test set, one entry of M an example; state for U and V.
  Oracle: numpy in float64, with projectors as dense matrices.
  Source: 2202.08788 (signal and residual), 2310.01769. Other data than `matrix_sensing` are refused.
  """

  def truth(view):
    x, y = array(view.data.test.x), view.data.test.y
    if x.ndim != 3 or y.shape != (x.shape[1] * x.shape[2], 1):
      raise ValueError(f'recovery needs one test example an entry of a matrix, as matrix_sensing has; these are {x.shape}')
    return y.reshape(x.shape[1:])

  def init(view):
    u, _, vt = dense.svd(truth(view))
    if rank > u.shape[1]:
      raise ValueError(f'recovery: rank is {rank}, but the matrix is {u.shape[0]} x {vt.shape[1]}')
    return Subspaces(u[:, :rank], vt[:rank].T)

  def measure(view, state, key):
    m, (u, v) = truth(view), state
    recovered = at_least_float32(view.problem.model.apply(view.variables, view.data.test.x)).astype(m.dtype).reshape(m.shape)
    gap = recovered - m
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
      'weakest': dense.singular_values(u.T @ recovered @ v)[-1],
    }
    return reading, state

  return Probe(init, measure)
