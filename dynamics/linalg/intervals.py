"""Interval bounds of a function: what its outputs can be where every input lies in an interval, operation by operation.

The function is traced, and every equation of its jaxpr maps the intervals of its operands to that of its result. Each of these
maps is exact for its own operation, with all operands free in their intervals, so the bounds hold, and they are as wide as
interval arithmetic makes them: it forgets that two operands depend on the same inputs.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.extend import core

from dynamics import jaxprs
from dynamics.types import Array, Tree

RISING = ('tanh', 'logistic', 'erf', 'exp', 'expm1', 'log1p', 'log', 'sqrt', 'max', 'min', 'sign', 'floor')
RISING += ('add', 'add_any', 'reduce_sum', 'reduce_max', 'reduce_min', 'cumsum', 'reduce_window_sum', 'reduce_window_max')
RISING += ('reshape', 'squeeze', 'expand_dims', 'broadcast_in_dim', 'convert_element_type', 'copy', 'transpose', 'rev')
RISING += ('slice', 'concatenate', 'pad', 'stop_gradient', 'reduce_precision', 'optimization_barrier')
BILINEAR = ('dot_general', 'conv_general_dilated', 'mul')


class Interval(NamedTuple):
  """Two arrays of one shape; `low` may be above no entry of `high`. The same array twice is a constant."""

  low: Array
  high: Array


def bounds(function: Callable[[Array], Tree], low: Array, high: Array) -> Tree:
  """The outputs of `function` with an `Interval` in place of every array, for all x with low <= x <= high.

  Products and convolutions of x with constants, sums, maxima, monotone activations, |x| and whole powers are passed; so are
  constants of any kind, which the function may close over.

  Args:
    function: of one array.
    low, high: arrays of its shape.

  Raises:
    NotImplementedError: an operation that is none of these, such as sin, or a product of two values that depend on x, as in
      attention, layer normalisation, gelu and silu.
  Source: 2103.17268 (interval bound propagation), for dense layers and relu.
  """
  closed, shapes = jax.make_jaxpr(function, return_shape=True)(low)
  results = _evaluate(closed.jaxpr, [Interval(c, c) for c in closed.consts], [Interval(low, high)])
  return jax.tree.unflatten(jax.tree.structure(shapes), results)


def _evaluate(jaxpr: core.Jaxpr, consts: list[Interval], arguments: list[Interval]) -> list[Interval]:
  values = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*consts, *arguments), strict=True))
  read = lambda v: Interval(v.val, v.val) if isinstance(v, core.Literal) else values[v]
  for eqn in jaxpr.eqns:
    operands = [read(v) for v in eqn.invars]
    values |= zip(eqn.outvars, _equation(jaxpr, eqn, operands), strict=True)
  return [read(v) for v in jaxpr.outvars]


def _equation(jaxpr: core.Jaxpr, eqn: core.JaxprEqn, operands: list[Interval]) -> list[Interval]:
  name, moving = eqn.primitive.name, [i for i, x in enumerate(operands) if x.low is not x.high]
  apply = lambda *arrays: jaxprs.applied(jaxpr, eqn, arrays)
  if not moving:
    return [Interval(x, x) for x in apply(*(x.low for x in operands))]
  called = jaxprs.called(eqn)
  if called is not None:
    inner = next(eqn.params[name] for name in jaxprs.CALLS if name in eqn.params)
    return _evaluate(called, [Interval(c, c) for c in getattr(inner, 'consts', ())], operands)
  if name in RISING:
    ends = (apply(*ends) for ends in zip(*operands, strict=True))
    return [Interval(*pair) for pair in zip(*ends, strict=True)]
  if name == 'sub':
    (a, b), (c, d) = operands
    return [Interval(*apply(a, d), *apply(b, c))]
  if name == 'neg':
    return [Interval(*apply(operands[0].high), *apply(operands[0].low))]
  if name in ('abs', 'square') or (name == 'integer_pow' and eqn.params['y'] > 0):
    return [_folded(apply, *operands[0], even=name != 'integer_pow' or eqn.params['y'] % 2 == 0)]
  if name in BILINEAR and len(moving) == 1:
    return [_product(apply, operands, moving[0])]
  if name == 'div' and moving == [0]:
    ends = [apply(x, operands[1].low)[0] for x in operands[0]]
    return [Interval(jnp.minimum(*ends), jnp.maximum(*ends))]
  if name == 'select_n' and 0 not in moving:
    which = operands[0].low
    return [Interval(*apply(which, *(x.low for x in operands[1:])), *apply(which, *(x.high for x in operands[1:])))]
  both = ' of two values that depend on the inputs' if name in BILINEAR else ''
  raise NotImplementedError(
    f'interval bounds do not pass through {name}{both}; use dense or convolutional layers and relu, tanh, ...'
  )


def _folded(apply: Callable, low: Array, high: Array, even: bool) -> Interval:
  """|x| and powers: even ones fall to 0 and rise from there."""
  ends = apply(low)[0], apply(high)[0]
  if not even:
    return Interval(*ends)
  least = jnp.where((low <= 0) & (high >= 0), 0, jnp.minimum(*ends))
  return Interval(least, jnp.maximum(*ends))


def _product(apply: Callable, operands: list[Interval], place: int) -> Interval:
  """With a constant w: the middle is mapped by w, and half the width by |w|."""
  x, w = operands[place], operands[1 - place].low
  ordered = lambda a, b: (a, b) if place == 0 else (b, a)
  middle, half = apply(*ordered((x.low + x.high) / 2, w))[0], apply(*ordered((x.high - x.low) / 2, jnp.abs(w)))[0]
  return Interval(middle - half, middle + half)
