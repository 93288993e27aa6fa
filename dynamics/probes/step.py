"""The size of the training steps, against the weights and against the gradient."""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from dynamics import trees
from dynamics.components import component
from dynamics.types import Array, Probe, Tree


class Ratio(NamedTuple):
  """Of two lengths at a step, over the steps since the last reading whose divisor is not zero."""

  total: Array
  count: Array


class Steps(NamedTuple):
  weights: Tree  # before the next step
  relative: Ratio
  relative_of: Mapping[str, Ratio]
  rate: Ratio
  effective: Ratio
  cosine: Ratio


@component(revision=2)
def effective_step(*, leaves: bool = True) -> Probe:
  """How far a training step moves, in units of the weights and of the step of plain gradient descent, and whether it descends.

  All are means over the steps since the last reading, of update u, gradient g and weights w before the update. A step whose
  divisor is exactly zero is left out; NaN where no step is left. Successive steps are not independent, so the means carry no
  standard error.

  Reading:
    relative, relative_of/leaf (): |u| / |w|, of all parameters and, with `leaves`, of each parameter array.
    rate (): |u| / |g|: the rate at which plain gradient descent would step as far, whatever the optimizer.
    effective (): |u| / |D g|, D the learning rate of each leaf at that step, its schedule and parametrization included: 1 for
      plain gradient descent; NaN where the optimizer names no learning rate.
    cosine (): of u and -g.
  Cost: three norms and a product a step, inside the training loop; a copy of the parameters and a few scalars of state.
  Oracle: numpy in float64 on the weights of every step; gradient descent, where effective is 1 whatever the schedule and the
    parametrization.
  Source: none; for Adam's effective step 1412.6980, section 2.1.
  """
  zero = lambda: Ratio(jnp.float32(0), jnp.int32(0))

  def empty(weights):
    names = trees.by_path(weights) if leaves else ()
    return Steps(weights, zero(), {name: zero() for name in names}, zero(), zero(), zero())

  def add(mean, a, b):
    ratio = jnp.where(b > 0, a / jnp.where(b > 0, b, 1), 0)
    return Ratio(mean.total + ratio.astype(jnp.float32), mean.count + (b > 0).astype(jnp.int32))

  def init(view):
    return empty(jax.tree.map(jnp.copy, view.variables['params']))

  def update(state, info):
    w, u, g = state.weights, info.updates, info.grads
    size, named_w, named_u = trees.norm(u), trees.by_path(w), trees.by_path(u)
    return Steps(
      optax.apply_updates(w, u),
      add(state.relative, size, trees.norm(w)),
      {name: add(mean, trees.norm(named_u[name]), trees.norm(named_w[name])) for name, mean in state.relative_of.items()},
      add(state.rate, size, trees.norm(g)),
      add(state.effective, size, _descent(g, info.learning_rate)),
      add(state.cosine, -trees.dot(u, g), size * trees.norm(g)),
    )

  def measure(view, state, key):
    show = lambda r: jnp.where(r.count > 0, r.total / jnp.maximum(r.count, 1).astype(jnp.float32), jnp.nan)
    reading = {name: show(getattr(state, name)) for name in ('relative', 'rate', 'effective', 'cosine')}
    if leaves:
      reading['relative_of'] = {name: show(mean) for name, mean in state.relative_of.items()}
    return reading, empty(view.variables['params'])

  return Probe(init, measure, update)


def _descent(grads: Tree, rates: Tree | None) -> Array:
  """|D g|, the length of a step of gradient descent; NaN for unknown rates, () for all leaves or one for each."""
  if rates is None:
    return jnp.full_like(trees.norm(grads), jnp.nan)
  if jax.tree.structure(rates) != jax.tree.structure(grads):
    rates = jax.tree.map(lambda g: rates, grads)
  return trees.norm(
    jax.tree.map(lambda g, rate: trees.at_least_float32(g) * rate.astype(trees.at_least_float32(g).dtype), grads, rates)
  )
