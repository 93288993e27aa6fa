"""Optax transformations as optimizers, and the chain of a run: clip, project, optimizer, schedule, rates of the leaves."""

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
import optax

from dynamics.optim.perpendicular import perpendicular as project
from dynamics.schema import Range
from dynamics.types import Array, Optimizer, Tree


def from_optax(
  transformation: optax.GradientTransformation,
  learning_rate: Array | float | None = None,
  *,
  normalised: bool | None = None,
  precondition: Callable[[Tree], Tree] | None = None,
) -> Optimizer:
  """Any optax transformation as an Optimizer.

  Args:
    transformation: its update receives what `dynamics.optim.arguments.offered` has, where it takes it.
    learning_rate: what it multiplies its updates by, for instruments; None where there is no such number.
    normalised: whether an update's size does not follow the gradient's, as in Adam. Where it is not stated, a parametrization
      and the probe `sharpness`, which must know it, raise a ValueError.
    precondition: opt_state -> the diagonal that divides the gradient, like params, for instruments.
  """
  taking = optax.with_extra_args_support(transformation)
  rate = None if learning_rate is None else lambda step: jnp.asarray(learning_rate, jnp.float32)
  return Optimizer(taking.init, taking.update, rate, normalised, precondition)


def chain(
  optimizer: Optimizer,
  schedule: Callable[[Array], Array] | None = None,
  rates: Callable[[bool], Tree] | None = None,
  *,
  perpendicular: Literal['off', 'rescaled', 'plain'] = 'off',
  clip: Range(float, least=0.0) = 0.0,
) -> Optimizer:
  """The optimizer of a run.

  Args:
    optimizer: the base.
    schedule: step -> a factor on the learning rate; from `dynamics.lr_schedules`.
    rates: of a model: normalised? -> a factor on the learning rate of every leaf.
    perpendicular: takes the part of each gradient off that rescales its leaf: 'rescaled' is the form of the authors' code,
      'plain' the bare projection. Source: 2501.04697.
    clip: the largest global norm of a gradient, in its unit; 0 is no limit.
  """
  if rates and optimizer.normalised is None:
    raise ValueError(
      "the learning rates of a parametrization depend on whether the optimizer's updates follow the size of the gradient: "
      'give `optim.from_optax` normalised=True or False'
    )
  before = [optax.clip_by_global_norm(clip)] if clip else []
  before += [project(rescale=perpendicular == 'rescaled')] if perpendicular != 'off' else []
  after = [optax.scale_by_schedule(schedule)] if schedule else []
  after += [_by_leaf(rates(optimizer.normalised))] if rates else []
  whole = optax.chain(*before, optax.GradientTransformationExtraArgs(optimizer.init, optimizer.update), *after)
  rate = optimizer.learning_rate
  if rate is not None and schedule is not None:
    rate = lambda step: optimizer.learning_rate(step) * schedule(step)
  precondition = optimizer.precondition and (lambda state: optimizer.precondition(state[len(before)]))
  return Optimizer(whole.init, whole.update, rate, optimizer.normalised, precondition)


def _by_leaf(rates: Tree) -> optax.GradientTransformation:
  scale = lambda updates, params: jax.tree.map(lambda u, rate: u * jnp.asarray(rate, u.dtype), updates, rates)
  return optax.stateless(scale)
