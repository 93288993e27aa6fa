"""How well weight matrices are conditioned, as they are and with rows of one length."""

import jax
import jax.numpy as jnp

from dynamics import trees
from dynamics.components import component
from dynamics.leaves import Leaf, matrices, weights
from dynamics.linalg import dense, spectrum
from dynamics.types import Array, Probe, stateless


@component()
def conditioning() -> Probe:
  """Condition numbers of weight matrices W, one row a unit: the largest singular value over the smallest.

  Of several matrices in one array, such as stacked layers, the largest counts. Infinite where the smallest singular value is
  rounding, and 1 for a matrix of one row or column.

  Reading:
    condition_of/leaf (): of W.
    equilibrated_of/leaf (): of D W, D the diagonal that makes all rows of length 1: of the weights that a network sees under
      `weight_conditioning`. Rows of zeros stay zero.
  Cost: the singular values of every weight matrix, twice; no state.
  Oracle: numpy in float64.
  Source: 2409.03424.
  """

  def read(view, key):
    params = trees.by_path(view.variables['params'])
    those = [leaf for leaf in weights(view.problem.model.leaves()) if _is_matrix(leaf)]
    # (copies, units, inputs)
    rows = {leaf.name: jnp.swapaxes(matrices(leaf, trees.at_least_float32(params[leaf.name])), 1, 2) for leaf in those}
    reading = {'condition_of': rows, 'equilibrated_of': {name: _equilibrated(w) for name, w in rows.items()}}
    return jax.tree.map(lambda w: jnp.max(jax.vmap(_condition)(w)), reading)

  return stateless(read)


def _is_matrix(leaf: Leaf) -> bool:
  return bool(leaf.inputs and leaf.outputs) and not {*leaf.inputs} & {*leaf.outputs}


def _equilibrated(w: Array) -> Array:
  length = jnp.linalg.norm(w, axis=-1, keepdims=True)
  return w / jnp.where(length == 0, 1, length)


def _condition(w: Array) -> Array:
  values = dense.singular_values(w)
  return spectrum.ratio(values, spectrum.rounding(values[0], max(w.shape)))
