"""What gradient flow conserves in a chain of linear layers: the imbalance of neighbours."""

import itertools

import jax.numpy as jnp

from dynamics import trees
from dynamics.components import component
from dynamics.leaves import weights
from dynamics.linalg import dense
from dynamics.trees import at_least_float32
from dynamics.types import Probe


@component(needs=('chain',))
def balance() -> Probe:
  """D = W^T W - V V^T for each pair of consecutive weight matrices W (d, h), V (h, k); F^T F - G^T G for a product F G^T.

  All readings stand under the name of W. Norms are Frobenius.

  Reading:
    imbalance_of/leaf (), a parameter squared: |D|.
    drift_of/leaf (): |D - D0| / |D0| since step 0; NaN where D0 is 0.
    smallest_of/leaf (), a parameter squared: the smallest eigenvalue of D.
    largest_of/leaf (), a parameter squared: the largest eigenvalue of D.
  Cost: two Gram matrices (h, h) a pair and the eigenvalues of one; no state.
  Oracle: numpy in float64; gradient flow of a linear network conserves D.
  Source: 1312.6120, 2310.01769 (imbalance). Weights that are no chain of matrices are refused.
  """

  def pairs(view, variables):
    chain, named = weights(view.problem.model.leaves()), trees.by_path(variables['params'])
    if len(chain) < 2:
      raise ValueError(f'balance needs two weight matrices or more, but there is {chain[0].name} alone')
    for a, b in itertools.pairwise(chain):
      if len(a.shape) != 2 or len(b.shape) != 2 or a.shape[1] != b.shape[0]:
        raise ValueError(f'balance needs a chain of matrices, but {b.name} is {b.shape} after {a.name}, {a.shape}')
    return {a.name: (at_least_float32(named[a.name]), at_least_float32(named[b.name])) for a, b in itertools.pairwise(chain)}

  def differences(view, variables):
    return {name: w.T @ w - v @ v.T for name, (w, v) in pairs(view, variables).items()}

  def init(view):
    pairs(view, view.variables)  # refuses before anything is compiled
    return ()

  def measure(view, state, key):
    now, start = differences(view, view.variables), differences(view, view.initial)
    eigenvalues = {name: dense.eigenvalues(d) for name, d in now.items()}
    size = jnp.linalg.norm
    reading = {
      'imbalance_of': {name: size(d) for name, d in now.items()},
      'drift_of': {name: size(d - start[name]) / size(start[name]) for name, d in now.items()},
      'smallest_of': {name: values[0] for name, values in eigenvalues.items()},
      'largest_of': {name: values[-1] for name, values in eigenvalues.items()},
    }
    return reading, state

  return Probe(init, measure)
