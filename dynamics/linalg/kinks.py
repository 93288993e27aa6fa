"""Where a function has kinks: places at which second derivatives are missing, and are read as zero.

Automatic differentiation gives 0 for the curvature of relu, abs or max, also at the kink. A Hessian of such a network is that
of the smooth piece around the parameters, which may be what is wanted, or may be all zero. This says which primitives do it.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from dynamics import jaxprs
from dynamics.types import Tree

KINKS = ('max', 'min', 'abs', 'clamp', 'reduce_max', 'reduce_min', 'cummax', 'cummin', 'sort', 'top_k')
STEPS = ('round', 'floor', 'ceil', 'sign')  # flat, so no derivative goes through
SMOOTH = ('logaddexp', 'softplus', 'silu')  # smooth functions with a derivative of their own, written with a kink inside


def kinks(function: Callable[[Tree], Tree], params: Tree) -> dict[str, int]:
  """The primitives of `function` that are not smooth and stand on the way of a derivative from its value to params.

  Empty for a smooth function; else how often each stands there, a loop counting once. 'select_n' is a `where` whose
  condition depends on params. What `stop_gradient` cuts off does not count, such as the shift by the largest logit in a
  softmax. Whether parameters ever reach the kink is not asked: the abs of a positive sum in jax's logsumexp counts.
  """
  closed = jax.make_jaxpr(function)(params)
  found: dict[str, int] = {}
  _count(closed.jaxpr, [True] * len(closed.jaxpr.invars), [True] * len(closed.jaxpr.outvars), found)
  return dict(sorted(found.items()))


def _depend(jaxpr, given) -> dict:
  """Which variables' values depend on params."""
  known = dict(zip(jaxpr.invars, given, strict=True))
  for eqn in jaxpr.eqns:
    direct = jaxprs.called(eqn)
    inputs = [_get(known, v) for v in eqn.invars]
    inside = None if direct is None else _depend(direct, inputs)
    outs = [any(inputs)] * len(eqn.outvars) if inside is None else [_get(inside, v) for v in direct.outvars]
    known |= zip(eqn.outvars, outs, strict=True)
  return known


def _count(jaxpr, given, wanted, found) -> list[bool]:
  """Through which inputs a derivative goes on, given through which outputs it comes; counts kinks on its way."""
  known = _depend(jaxpr, given)
  alive = {v: True for v, want in zip(jaxpr.outvars, wanted, strict=True) if want and not hasattr(v, 'val')}
  for eqn in reversed(jaxpr.eqns):
    outs, inputs = [_get(alive, v) for v in eqn.outvars], [_get(known, v) for v in eqn.invars]
    floats = [d and jnp.issubdtype(v.aval.dtype, jnp.inexact) for d, v in zip(inputs, eqn.invars, strict=True)]
    if any(outs) and any(floats):
      onward = _through(eqn, inputs, outs, found)
      alive |= {v: True for v, goes, f in zip(eqn.invars, onward, floats, strict=True) if goes and f}
  return [_get(alive, v) for v in jaxpr.invars]


def _through(eqn, inputs, outs, found) -> list[bool]:
  name, every = eqn.primitive.name, [True] * len(eqn.invars)
  direct = jaxprs.called(eqn)
  if name in KINKS or name in STEPS or (name == 'select_n' and inputs[0]):
    found[name] = found.get(name, 0) + 1
  if name in STEPS or name == 'stop_gradient':
    return [False] * len(eqn.invars)
  if eqn.params.get('name') in SMOOTH:
    return every
  if direct is not None:
    return _count(direct, inputs, outs, found)
  for jaxpr in jaxprs.inner(eqn):  # a loop or a branch, in which any value may reach any other
    _count(jaxpr, [any(inputs)] * len(jaxpr.invars), [True] * len(jaxpr.outvars), found)
  return every


def _get(some: dict, v) -> bool:
  return not hasattr(v, 'val') and some.get(v, False)
