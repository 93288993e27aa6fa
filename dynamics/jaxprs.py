"""What the equations of a jaxpr hold inside them."""

from collections.abc import Sequence

from jax.extend import core

from dynamics.types import Array

CALLS = ('jaxpr', 'call_jaxpr', 'fun_jaxpr')


def called(eqn: core.JaxprEqn) -> core.Jaxpr | None:
  """The jaxpr that an equation calls once with its own operands (jit, remat, custom derivatives); None for any other."""
  direct = next((eqn.params[name] for name in CALLS if name in eqn.params), None)
  direct = getattr(direct, 'jaxpr', direct)
  if direct is None or len(direct.invars) != len(eqn.invars) or eqn.primitive.name in ('scan', 'while'):
    return None
  return direct


def inner(eqn: core.JaxprEqn) -> list[core.Jaxpr]:
  """Every jaxpr among the parameters of an equation."""
  values = [v for value in eqn.params.values() for v in (value if isinstance(value, tuple | list) else (value,))]
  return [getattr(v, 'jaxpr', v) for v in values if isinstance(v, core.ClosedJaxpr | core.Jaxpr)]


def applied(jaxpr: core.Jaxpr, eqn: core.JaxprEqn, operands: Sequence[Array]) -> list[Array]:
  """The outputs of one equation of a jaxpr, which keeps its custom derivatives."""
  inputs = {v: x for v, x in zip(eqn.invars, operands, strict=True) if not isinstance(v, core.Literal)}
  single = core.Jaxpr([], list(inputs), eqn.outvars, [eqn], eqn.effects, jaxpr.debug_info)
  return core.jaxpr_as_fun(core.ClosedJaxpr(single, ()))(*inputs.values())
