"""The size of the training steps, against the weights and against the gradient."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from dynamics import trees
from dynamics.components import component
from dynamics.losses import Loss
from dynamics.types import Array, Probe, Tree


class Ratio(NamedTuple):
  """Of two lengths at a step, over the steps since the last reading whose divisor is not zero."""

  total: Array
  count: Array


class Steps(NamedTuple):
  weights: Tree  # before the next step
  relative: Ratio
  relative_of: Mapping[str, Ratio]
  slope: Ratio
  cosine: Ratio


@component()
def effective_step(apply: Callable[..., Array], loss: Loss, *, leaves: bool = True) -> Probe:
  """How far a training step moves, in units of the weights and of the step of plain gradient descent, and whether it descends.

  Reading: means over the steps since the last reading, of update u, gradient g and weights w before the update: relative (),
    |u| / |w|, and with `leaves` that of each parameter array under relative_of/; effective (), |u| / (lr |g|), 1 for plain
    gradient descent, NaN without a learning rate among the hyper values, whose schedule, if any, counts as part of the step;
    cosine (), of u and -g. A step whose divisor is exactly zero is left out; NaN where none is left. Successive steps are not
    independent, so the means carry no standard error.
  Cost: three norms and a product a step, inside the training loop; a copy of the parameters and a few scalars of memory.
  Oracle: numpy in float64 on the weights of every step; plain gradient descent, where effective and cosine are 1.
  Source: none; for Adam's effective step 1412.6980, section 2.1.
  """
  zero = lambda: Ratio(jnp.float32(0), jnp.int32(0))

  def empty(weights):
    names = trees.by_path(weights) if leaves else ()
    return Steps(weights, zero(), {name: zero() for name in names}, zero(), zero())

  def add(kept, a, b):
    ratio = jnp.where(b > 0, a / jnp.where(b > 0, b, 1), 0)
    return Ratio(kept.total + ratio.astype(jnp.float32), kept.count + (b > 0).astype(jnp.int32))

  def init(view):
    return empty(jax.tree.map(jnp.copy, view.variables['params']))

  def update(kept, signal):
    w, u, g = kept.weights, signal.updates, signal.grads
    size, steep = trees.norm(u), trees.norm(g)
    of_w, of_u = trees.by_path(w), trees.by_path(u)
    return Steps(
      optax.apply_updates(w, u),
      add(kept.relative, size, trees.norm(w)),
      {name: add(one, trees.norm(of_u[name]), trees.norm(of_w[name])) for name, one in kept.relative_of.items()},
      add(kept.slope, size, steep),
      add(kept.cosine, -trees.dot(u, g), size * steep),
    )

  def measure(view, kept, key):
    show = lambda r: jnp.where(r.count > 0, r.total / jnp.maximum(r.count, 1).astype(jnp.float32), jnp.nan)
    lr = view.hyper['lr'] if 'lr' in view.hyper else jnp.float32(jnp.nan)
    out = {'relative': show(kept.relative), 'effective': show(kept.slope) / lr, 'cosine': show(kept.cosine)}
    if leaves:
      out['relative_of'] = {name: show(one) for name, one in kept.relative_of.items()}
    return out, empty(view.variables['params'])

  return Probe(init, measure, update)
