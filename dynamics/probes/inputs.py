"""What the training inputs alone decide: which directions can be learned, how fast, and which cannot."""

from collections.abc import Callable

import jax.numpy as jnp

from dynamics import trees
from dynamics.components import component
from dynamics.inits.joint import features
from dynamics.inits.leaves import describe, weights
from dynamics.linalg import dense
from dynamics.losses import Loss
from dynamics.types import Array, Probe


@component()
def spectrum(apply: Callable[..., Array], loss: Loss) -> Probe:
  """The eigenvalues of the training inputs' second moment: the rates at which a linear model learns.

  Reading: eigenvalue (min(n, d),), those of x^T x / n, the largest first, in units of a squared feature; further ones are 0.
  Cost: the singular values of (n, d) inputs, the same at every reading; no memory. One reading is enough.
  Oracle: numpy's eigenvalues of x^T x / n in float64.
  Source: 1710.03667. Inputs that are tokens are refused.
  """

  def init(view):
    features(view.data.train)  # refuses before anything is compiled
    return ()

  def measure(view, memory, key):
    x = features(view.data.train)
    return {'eigenvalue': jnp.square(dense.singular_values(x)) / x.shape[0]}, memory

  return Probe(init, measure)


@component()
def null_space(apply: Callable[..., Array], loss: Loss) -> Probe:
  """The part of the first layer that no training input reaches: gradients never move it.

  Reading: moved, |N (w - w0)| (); size, |N w0| (), in units of a parameter; dimension (), of the space that N projects on. w is
    the first layer's kernel (d, h), and N the projector on the directions in which all training inputs are 0.
  Cost: one svd of (n, d) inputs, at every reading; no memory.
  Oracle: numpy in float64 with a pseudo-inverse.
  Source: 1710.03667 (frozen subspace). Inputs that are tokens, and first layers that are no (d, h) matrix, are refused.
  """

  def first(variables, x):
    leaf = weights(describe(variables['params']))[0]
    if len(leaf.shape) != 2 or leaf.shape[0] != x.shape[1]:
      raise ValueError(f'null_space needs a first layer of {x.shape[1]} rows, one an input feature; {leaf.name} is {leaf.shape}')
    return trees.by_path(variables['params'])[leaf.name]

  def init(view):
    first(view.variables, features(view.data.train))
    return ()

  def measure(view, memory, key):
    x = features(view.data.train)
    _, s, vt = dense.svd(x)
    reached = s > jnp.finfo(s.dtype).eps * max(x.shape) * s[0]
    rows = jnp.where(reached[:, None], vt, 0)  # a basis of what the inputs span
    unreached = lambda w: w - rows.T @ (rows @ w)
    w, w0 = first(view.variables, x), first(view.anchor, x)
    reading = {
      'moved': trees.norm(unreached(w - w0)),
      'size': trees.norm(unreached(w0)),
      'dimension': x.shape[1] - jnp.sum(reached, dtype=jnp.int32),
    }
    return reading, memory

  return Probe(init, measure)
