"""The base optimisers, and the chain that a run uses around one of them."""

import inspect
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

import jax.numpy as jnp
import optax

from dynamics.inits import Rule, describe, over
from dynamics.optim.edge import edge
from dynamics.optim.perpendicular import perpendicular as project
from dynamics.optim.rebalanced import rebalance
from dynamics.schema import Range
from dynamics.types import Array, Hyper

Positive = Range(float, above=0.0)
NotNegative = Range(float, least=0.0)
Decay = Range(float, least=0.0, below=1.0)


class Family(NamedTuple):
  """`make(**scalars)`: an optax transformation whose scalars may be traced; its arguments are the hyper values it reads.

  `normalised`: the update's size does not follow the gradient's (adam), which parametrisations must know.
  `choose(**choices)`: another `make`, where there are static choices too; its arguments are fields of the block `optimizer`.
  """

  make: Callable[..., optax.GradientTransformation]
  normalised: bool
  choose: Callable[..., Callable[..., optax.GradientTransformation]] | None = None


def _sgd(*, lr: Positive, weight_decay: NotNegative = 0.0):
  return optax.chain(optax.add_decayed_weights(weight_decay), optax.scale_by_learning_rate(lr))


def _momentum(*, lr: Positive, beta1: Decay = 0.9, weight_decay: NotNegative = 0.0):
  return optax.chain(optax.add_decayed_weights(weight_decay), optax.trace(beta1), optax.scale_by_learning_rate(lr))


def _subgradient(*, lr: Positive, decay: Range(float, above=0.0, most=1.0) = 1.0):
  geometric = optax.scale_by_schedule(lambda count: jnp.exp(count.astype(jnp.float32) * jnp.log(jnp.asarray(decay, jnp.float32))))
  return optax.chain(geometric, optax.scale_by_learning_rate(lr))


def _rebalanced(*, lr: Positive, rebalance_at: NotNegative, beta: Positive = 1.0):
  return optax.chain(optax.scale_by_learning_rate(lr), rebalance(rebalance_at, beta))


def _adam(*, lr: Positive, beta1: Decay = 0.9, beta2: Decay = 0.999, eps: NotNegative = 1e-8, weight_decay: NotNegative = 0.0):
  return optax.chain(
    optax.add_decayed_weights(weight_decay), optax.scale_by_adam(beta1, beta2, eps), optax.scale_by_learning_rate(lr)
  )


def _adamw(*, lr: Positive, beta1: Decay = 0.9, beta2: Decay = 0.999, eps: NotNegative = 1e-8, weight_decay: NotNegative = 0.0):
  return optax.chain(
    optax.scale_by_adam(beta1, beta2, eps), optax.add_decayed_weights(weight_decay), optax.scale_by_learning_rate(lr)
  )


def _on_the_fly(
  *,
  every: Range(int, least=1) = 10,
  lanczos: Range(int, least=1) = 10,
  hold: Range(float, least=0.0, most=1.0) = 0.9,
):
  def make(*, lr: Positive, weight_decay: NotNegative = 0.0):
    steep = edge(every=every, lanczos=lanczos, hold=hold, ridge=weight_decay)
    return optax.chain(optax.add_decayed_weights(weight_decay), steep, optax.scale_by_learning_rate(lr))

  return make


sgd = Family(_sgd, normalised=False)  # w <- w - lr (g + weight_decay w)
momentum = Family(_momentum, normalised=False)  # m <- beta1 m + g + weight_decay w; w <- w - lr m
subgradient = Family(_subgradient, normalised=False)  # w <- w - lr decay^t g at step t = 0, 1, ...
rebalanced = Family(_rebalanced, normalised=False)  # sgd on two factors, one step of which re-factors their product
adam = Family(_adam, normalised=True)  # weight decay added to the gradient: an L2 penalty
adamw = Family(_adamw, normalised=True)  # weight decay decoupled from the moments
# sgd at lr times 2 / lambda, the largest eigenvalue of the batch's Hessian: lr has no unit, and 1 is the edge of stability. The
# rates of a rule come on top, and lambda does not know of them.
on_the_fly = Family(_on_the_fly(), normalised=False, choose=_on_the_fly)


def optimizer(
  family: Family,
  *,
  rule: Rule | None = None,
  roles: Mapping[str, str] | None = None,
  perpendicular: Literal['off', 'rescaled', 'plain'] = 'off',
  clip: Range(float, least=0.0) = 0.0,
  warmup: Range(int, least=0) = 0,
  schedule: Literal['constant', 'cosine'] = 'constant',
  steps: int = 0,
  **choices,
) -> Callable[[Hyper], optax.GradientTransformation]:
  """hyper -> the chain of a run: clip, project, base optimiser, schedule, the rule's learning rates.

  Args:
    family: the base optimiser; it reads the hyper values that its arguments name.
    rule: a parametrisation, whose c multiplies each leaf's update.
    roles: the same as the problem's, where names do not tell the layers' places.
    perpendicular: 'rescaled' is the form of the authors' code, 'plain' the bare projection.
    clip: the largest global gradient norm; 0 is no limit.
    warmup: steps over which the learning rate rises linearly to its value.
    schedule: 'constant', or 'cosine' down to 0 at `steps`.
    steps: the length of the run; used by 'cosine' alone.
    choices: those of the family, where it has any.

  Where the hyper values hold `drop_every`, the learning rate is multiplied by `drop` after every so many steps.
  """
  if choices and not family.choose:
    raise TypeError(f'this optimiser has no choice {next(iter(choices))!r}')
  make = family.choose(**choices) if choices else family.make
  names = tuple(inspect.signature(make).parameters)

  def build(hyper):
    missing = [n for n in required(family) if n not in hyper]
    if missing:
      raise ValueError(f'the optimiser needs hyper value {missing[0]!r}; it was given {", ".join(hyper)}')
    parts = [optax.clip_by_global_norm(clip)] if clip else []
    parts += [project(rescale=perpendicular == 'rescaled')] if perpendicular != 'off' else []
    parts += [make(**{n: hyper[n] for n in names if n in hyper})]
    if warmup or schedule == 'cosine':
      parts += [optax.scale_by_schedule(_factor(warmup, schedule, steps))]
    if 'drop_every' in hyper:
      parts += [optax.scale_by_schedule(lambda count: _drops(count, hyper['drop_every'], hyper['drop']))]
    parts += [_by_rule(rule, roles, family.normalised)] if rule else []
    return optax.chain(*parts)

  return build


def required(family: Family) -> list[str]:
  """The hyper values without a default."""
  return [n for n, p in inspect.signature(family.make).parameters.items() if p.default is inspect.Parameter.empty]


def _factor(warmup: int, schedule: str, steps: int):
  def factor(count):
    t = count.astype(jnp.float32)
    rise = jnp.minimum(1.0, (t + 1.0) / max(warmup, 1))
    fall = 0.5 * (1.0 + jnp.cos(jnp.pi * jnp.minimum(t / max(steps, 1), 1.0))) if schedule == 'cosine' else 1.0
    return rise * fall

  return factor


def _drops(count: Array, every: Array, drop: Array) -> Array:
  """drop^(number of whole stretches of `every` steps that have passed)."""
  return drop ** jnp.floor(count.astype(jnp.float32) / every)


def _by_rule(rule: Rule, roles: Mapping[str, str] | None, normalised: bool) -> optax.GradientTransformation:
  def update(updates, params):
    scale = lambda leaf, u: u * jnp.asarray(rule(leaf, normalised).c, u.dtype)
    return over(scale, describe(params, roles), updates)

  return optax.stateless(update)
