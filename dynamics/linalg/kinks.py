"""Which primitives of a function are not smooth, so that its Hessian is not the whole curvature.

Automatic differentiation gives relu, abs and max a second derivative of 0 everywhere, even at the kink. The Hessian of such
a network is that of the smooth piece around the parameters, which may be intended, or may be all zero.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from dynamics import jaxprs
from dynamics.types import Tree

KINKS = ('max', 'min', 'abs', 'clamp', 'reduce_max', 'reduce_min', 'cummax', 'cummin', 'sort', 'top_k')
STEPS = ('round', 'floor', 'ceil', 'sign')  # piecewise constant: derivatives stop here
SMOOTH = ('logaddexp', 'softplus', 'silu')  # smooth functions whose definition in jax contains a kink


def kinks(function: Callable[[Tree], Tree], params: Tree) -> dict[str, int]:
  """{primitive: count} of the primitives that are not smooth and through which `function` depends on params.

  Empty for a smooth function. The body of a loop counts once. 'select_n' is a `where` whose condition depends on params.
  Primitives behind `stop_gradient` do not count, such as the shift by the largest logit in a softmax. The count says nothing
  about whether the arguments reach the kink: the abs of a positive sum in jax's logsumexp counts.
  """
  closed = jax.make_jaxpr(function)(params)
  counts: dict[str, int] = {}
  _count(closed.jaxpr, [True] * len(closed.jaxpr.invars), [True] * len(closed.jaxpr.outvars), counts)
  return dict(sorted(counts.items()))


def _dependent(jaxpr, inputs) -> dict:
  """{variable: whether it depends on params}, given the same for each input."""
  depends = dict(zip(jaxpr.invars, inputs, strict=True))
  for eqn in jaxpr.eqns:
    called = jaxprs.called(eqn)
    operands = [_get(depends, v) for v in eqn.invars]
    inside = None if called is None else _dependent(called, operands)
    results = [any(operands)] * len(eqn.outvars) if inside is None else [_get(inside, v) for v in called.outvars]
    depends |= zip(eqn.outvars, results, strict=True)
  return depends


def _count(jaxpr, inputs, outputs, counts) -> list[bool]:
  """Propagates "a derivative passes here" backwards, from outputs to inputs; adds the kinks on the way to `counts`.

  `inputs` says which inputs depend on params. The list returned says which inputs a derivative reaches.
  """
  depends = _dependent(jaxpr, inputs)
  reached = {v: True for v, passes in zip(jaxpr.outvars, outputs, strict=True) if passes and not hasattr(v, 'val')}
  for eqn in reversed(jaxpr.eqns):
    results, operands = [_get(reached, v) for v in eqn.outvars], [_get(depends, v) for v in eqn.invars]
    differentiable = [d and jnp.issubdtype(v.aval.dtype, jnp.inexact) for d, v in zip(operands, eqn.invars, strict=True)]
    if any(results) and any(differentiable):
      passes = _through(eqn, operands, results, counts)
      reached |= {v: True for v, p, d in zip(eqn.invars, passes, differentiable, strict=True) if p and d}
  return [_get(reached, v) for v in jaxpr.invars]


def _through(eqn, operands, results, counts) -> list[bool]:
  """`_count` of one equation."""
  name, every = eqn.primitive.name, [True] * len(eqn.invars)
  called = jaxprs.called(eqn)
  if name in KINKS or name in STEPS or (name == 'select_n' and operands[0]):
    counts[name] = counts.get(name, 0) + 1
  if name in STEPS or name == 'stop_gradient':
    return [False] * len(eqn.invars)
  if eqn.params.get('name') in SMOOTH:
    return every
  if called is not None:
    return _count(called, operands, results, counts)
  for jaxpr in jaxprs.inner(eqn):  # in a loop or a branch any input may reach any output
    _count(jaxpr, [any(operands)] * len(jaxpr.invars), [True] * len(jaxpr.outvars), counts)
  return every


def _get(flags: dict, v) -> bool:
  """The flag of a variable; False for one without a flag and for a literal."""
  return not hasattr(v, 'val') and flags.get(v, False)
