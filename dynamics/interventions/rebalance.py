"""Moving the imbalance of two factors of a matrix, while their product stays."""

import jax.numpy as jnp

from dynamics import trees
from dynamics.components import component
from dynamics.leaves import map_leaves, weights
from dynamics.linalg import dense
from dynamics.schema import Traced
from dynamics.types import Intervention


@component(needs=('chain',))
def rebalance(*, beta: Traced(above=0.0) = 1.0) -> Intervention:
  """F <- beta U and G <- S V^T G / beta, for the factors F = U S V^T (i, h) and G (h, j).

  The product F G stays, and the imbalance F^T F - G G^T becomes beta^2 less what G then has.

  Raises:
    ValueError: weights that are not two factors, or i less than h.
  Source: 2310.01769 (one modified step), as we remember its form.
  """

  def apply(view, key):
    described, params = view.problem.model.leaves(), view.variables['params']
    leaves, named = weights(described), trees.by_path(params)
    if len(leaves) != 2 or any(len(leaf.shape) != 2 for leaf in leaves) or leaves[0].shape[1] != leaves[1].shape[0]:
      raise ValueError(f'rebalance needs two factors of a matrix; the weights are {", ".join(leaf.name for leaf in leaves)}')
    if leaves[0].shape[0] < leaves[0].shape[1]:
      raise ValueError(f'rebalance needs a left factor with no more columns than rows; {leaves[0].name} is {leaves[0].shape}')
    left, right = (leaf.name for leaf in leaves)
    u, s, vt = dense.svd(named[left])
    strength = jnp.asarray(beta, u.dtype)
    factors = {left: strength * u, right: (s[:, None] * vt) @ named[right] / strength}
    changed = map_leaves(lambda leaf, w: factors.get(leaf.name, w).astype(w.dtype), described, params)
    return {**view.variables, 'params': changed}, view.opt_state

  return Intervention(apply)
