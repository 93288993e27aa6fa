"""How far the weights have gone, and how large they are."""

from collections.abc import Callable

import jax.numpy as jnp

from dynamics import trees
from dynamics.components import component
from dynamics.losses import Loss
from dynamics.types import Array, Probe, Tree, stateless


@component()
def distance(apply: Callable[..., Array], loss: Loss, *, leaves: bool = True) -> Probe:
  """Distance of the parameters from their initial values.

  Reading: distance, |w - w0| (); relative, |w - w0| / |w0| (); cosine, of w and w0 (); and with `leaves` the same for
    each parameter array under distance_of/, relative_of/ and cosine_of/. Units of a parameter; ratios have none, and
    are NaN for an array that is or was zero.
  Cost: three passes over the parameters; no memory.
  Oracle: numpy in float64 on the flattened vectors.
  Source: 1705.08741 (distance over training), 1812.07956 (relative change).
  """

  def compare(w, w0):
    gone, size = trees.norm(trees.subtract(w, w0)), trees.norm(w0)
    return {'distance': gone, 'relative': gone / size, 'cosine': trees.cosine(w, w0)}

  def read(view, key):
    return _with_leaves(compare, leaves, view.variables['params'], view.anchor['params'])

  return stateless(read)


@component()
def norms(apply: Callable[..., Array], loss: Loss, *, leaves: bool = True) -> Probe:
  """Size of the parameters.

  Reading: norm, |w| (); rms, the root mean square of an entry (); and with `leaves` the same for each parameter array
    under norm_of/ and rms_of/. Units of a parameter.
  Cost: one pass over the parameters; no memory.
  Oracle: numpy in float64 on the flattened vectors.
  Source: none.
  """

  def read(view, key):
    size = lambda w: {'norm': trees.norm(w), 'rms': trees.norm(w) / jnp.float32(trees.size(w)) ** 0.5}
    return _with_leaves(size, leaves, view.variables['params'])

  return stateless(read)


def _with_leaves(statistic: Callable[..., dict[str, Array]], leaves: bool, *trees_: Tree) -> dict:
  out = statistic(*trees_)
  if leaves:
    named = [trees.by_path(tree) for tree in trees_]
    each = {path: statistic(*(tree[path] for tree in named)) for path in named[0]}
    out |= {f'{name}_of': {path: values[name] for path, values in each.items()} for name in tuple(out)}
  return out
