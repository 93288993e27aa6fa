"""What gradient flow conserves in a chain of linear layers: the imbalance of neighbours."""

import itertools
from collections.abc import Callable

import jax.numpy as jnp

from dynamics import trees
from dynamics.inits.leaves import describe, weights
from dynamics.linalg import dense
from dynamics.losses import Loss
from dynamics.trees import at_least_float32
from dynamics.types import Array, Probe


def balance(apply: Callable[..., Array], loss: Loss) -> Probe:
  """D = W^T W - V V^T for each pair of consecutive weight matrices W (d, h), V (h, k); F^T F - G^T G for a product F G^T.

  Reading: under the name of W, imbalance_of/, |D| (); drift_of/, |D - D0| / |D0| () since step 0; smallest_of/ and
    largest_of/, the extreme eigenvalues of D (). Norms are Frobenius, in squared units of a parameter; drift has none, and is NaN
    where D0 is 0.
  Cost: two Gram matrices (h, h) a pair and the eigenvalues of one; no memory.
  Oracle: numpy in float64; gradient flow of a linear network conserves D.
  Source: 1312.6120, 2310.01769 (imbalance). Weights that are no chain of matrices are refused.
  """

  def pairs(variables):
    chain, named = weights(describe(variables['params'])), trees.by_path(variables['params'])
    if len(chain) < 2:
      raise ValueError(f'balance needs two weight matrices or more, but there is {chain[0].name} alone')
    for a, b in itertools.pairwise(chain):
      if len(a.shape) != 2 or len(b.shape) != 2 or a.shape[1] != b.shape[0]:
        raise ValueError(f'balance needs a chain of matrices, but {b.name} is {b.shape} after {a.name}, {a.shape}')
    return {a.name: (at_least_float32(named[a.name]), at_least_float32(named[b.name])) for a, b in itertools.pairwise(chain)}

  def difference(w, v):
    return w.T @ w - v @ v.T

  def init(view):
    pairs(view.variables)  # refuses before anything is compiled
    return ()

  def measure(view, memory, key):
    now = {name: difference(*pair) for name, pair in pairs(view.variables).items()}
    start = {name: difference(*pair) for name, pair in pairs(view.anchor).items()}
    values = {name: dense.eigenvalues(d) for name, d in now.items()}
    size = jnp.linalg.norm
    reading = {
      'imbalance_of': {name: size(d) for name, d in now.items()},
      'drift_of': {name: size(d - start[name]) / size(start[name]) for name, d in now.items()},
      'smallest_of': {name: some[0] for name, some in values.items()},
      'largest_of': {name: some[-1] for name, some in values.items()},
    }
    return reading, memory

  return Probe(init, measure)
