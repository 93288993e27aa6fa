"""What the training inputs alone decide: which directions can be learned, how fast, and which cannot."""

import jax.numpy as jnp

from dynamics import trees
from dynamics.components import component
from dynamics.inits.directions import features
from dynamics.leaves import weights
from dynamics.linalg import dense
from dynamics.probes.evaluation import array
from dynamics.types import Probe


@component(needs=('features',))
def input_spectrum() -> Probe:
  """The eigenvalues of the training inputs' second moment: the rates at which a linear model learns.

  Reading:
    eigenvalue (r,), a feature squared: those of x^T x / n, the largest first, r = min(n, d); further ones are 0.
  Cost: the singular values of (n, d) inputs, the same at every reading; no state. One reading is enough.
  Oracle: numpy's eigenvalues of x^T x / n in float64.
  Source: 1710.03667. Inputs that are tokens are refused.
  """

  def init(view):
    _features(view)  # refuses before anything is compiled
    return ()

  def measure(view, state, key):
    x = _features(view)
    return {'eigenvalue': jnp.square(dense.singular_values(x)) / x.shape[0]}, state

  return Probe(init, measure)


@component(needs=('features',))
def null_space() -> Probe:
  """The part of the first layer that no training input reaches: gradients never move it.

  w is the first layer's kernel (d, h), and N the projector on the directions in which all training inputs are 0.

  Reading:
    moved (), a parameter: |N (w - w0)|.
    size (), a parameter: |N w0|.
    dimension (): of the space that N projects on.
  Cost: one svd of (n, d) inputs, at every reading; no state.
  Oracle: numpy in float64 with a pseudo-inverse.
  Source: 1710.03667 (frozen subspace). Inputs that are tokens, and first layers that are no (d, h) matrix, are refused.
  """

  def kernel(view, variables, x):
    leaf = weights(view.problem.model.leaves())[0]
    if len(leaf.shape) != 2 or leaf.shape[0] != x.shape[1]:
      raise ValueError(f'null_space needs a first layer of {x.shape[1]} rows, one an input feature; {leaf.name} is {leaf.shape}')
    return trees.by_path(variables['params'])[leaf.name]

  def init(view):
    kernel(view, view.variables, _features(view))
    return ()

  def measure(view, state, key):
    x = _features(view)
    _, s, vt = dense.svd(x)
    reached = s > jnp.finfo(s.dtype).eps * max(x.shape) * s[0]
    rows = jnp.where(reached[:, None], vt, 0)  # a basis of what the inputs span
    unreached = lambda w: w - rows.T @ (rows @ w)
    w, w0 = kernel(view, view.variables, x), kernel(view, view.initial, x)
    reading = {
      'moved': trees.norm(unreached(w - w0)),
      'size': trees.norm(unreached(w0)),
      'dimension': x.shape[1] - jnp.sum(reached, dtype=jnp.int32),
    }
    return reading, state

  return Probe(init, measure)


def _features(view):
  array(view.data.train.x)
  return features(view.data.train)
