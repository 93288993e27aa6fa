"""How far the weights have gone, and how large they are."""

from collections.abc import Callable

import jax.numpy as jnp

from dynamics import trees
from dynamics.components import component
from dynamics.types import Array, Probe, Tree, stateless


@component()
def distance(*, leaves: bool = True) -> Probe:
  """Distance of the parameters w from their initial values w0, of all of them and, with `leaves`, of each parameter array.

  Reading:
    distance, distance_of/leaf (), a parameter: |w - w0|.
    relative, relative_of/leaf (): |w - w0| / |w0|; NaN or inf for an array that was zero.
    cosine, cosine_of/leaf (): of w and w0; NaN for an array that is or was zero.
  Cost: three passes over the parameters; no state.
  Oracle: numpy in float64 on the flattened vectors.
  Source: 1705.08741 (distance over training), 1812.07956 (relative change).
  """

  def compare(w, w0):
    moved, size = trees.norm(trees.subtract(w, w0)), trees.norm(w0)
    return {'distance': moved, 'relative': moved / size, 'cosine': trees.cosine(w, w0)}

  def read(view, key):
    return _with_leaves(compare, leaves, view.variables['params'], view.initial['params'])

  return stateless(read)


@component()
def norms(*, leaves: bool = True) -> Probe:
  """Size of the parameters w, of all of them and, with `leaves`, of each parameter array.

  Reading:
    norm, norm_of/leaf (), a parameter: |w|.
    rms, rms_of/leaf (), a parameter: the root mean square of an entry.
  Cost: one pass over the parameters; no state.
  Oracle: numpy in float64 on the flattened vectors.
  Source: none.
  """

  def read(view, key):
    size = lambda w: {'norm': trees.norm(w), 'rms': trees.norm(w) / jnp.float32(trees.size(w)) ** 0.5}
    return _with_leaves(size, leaves, view.variables['params'])

  return stateless(read)


def _with_leaves(statistic: Callable[..., dict[str, Array]], leaves: bool, *params: Tree) -> dict:
  reading = statistic(*params)
  if leaves:
    named = [trees.by_path(tree) for tree in params]
    each = {path: statistic(*(tree[path] for tree in named)) for path in named[0]}
    reading |= {f'{name}_of': {path: values[name] for path, values in each.items()} for name in tuple(reading)}
  return reading
