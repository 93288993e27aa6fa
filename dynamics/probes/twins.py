"""Units that were copies of each other at step 0."""

import jax.numpy as jnp

from dynamics import trees
from dynamics.components import component
from dynamics.types import Array, Probe, stateless


@component()
def twins() -> Probe:
  """How far apart units have come whose incoming weights were equal at step 0.

  W is each array with two or more axes, taken as a matrix of all axes but the last by the last; its columns are units.

  Reading:
    apart_of/leaf (), a parameter: the largest |W_ki - W_kj| over inputs k and pairs of units i, j whose columns were equal at
      step 0; NaN where no two were.
  Cost: rows times columns squared numbers of each matrix, in memory too; no state.
  Oracle: loops over pairs in numpy.
  Source: 2503.04626 (repeated identities).
  """

  def read(view, key):
    now, start = trees.by_path(view.variables['params']), trees.by_path(view.initial['params'])
    return {'apart_of': {path: _apart(_matrix(w), _matrix(start[path])) for path, w in now.items() if w.ndim > 1}}

  return stateless(read)


def _matrix(w: Array) -> Array:
  return trees.at_least_float32(w).reshape(-1, w.shape[-1])


def _apart(w: Array, start: Array) -> Array:
  same = jnp.all(start[:, :, None] == start[:, None, :], axis=0) & ~jnp.eye(w.shape[1], dtype=bool)
  largest = jnp.max(jnp.abs(w[:, :, None] - w[:, None, :]), axis=0)
  return jnp.where(jnp.any(same), jnp.max(jnp.where(same, largest, 0)), jnp.nan)
