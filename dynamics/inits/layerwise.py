"""The forward pass of a model in which every layer may be changed as the data reach it: one pass for all layers.

Each weight is met where it is first contracted with data, or read by index, and each bias where it is first added to them. What
is changed there is used from there on. Parameters are followed through reshapes and scalings, so names play no part.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
from jax.extend import core

from dynamics import jaxprs
from dynamics.dataflow import LINEAR, SUMS
from dynamics.leaves import Leaf
from dynamics.types import Array, Data, Model, Tree, Variables

CONTRACTIONS = ('dot_general', 'conv_general_dilated', 'gather', 'dynamic_slice')
LOOPS = ('scan', 'while', 'cond')

# (leaf, its array, array -> what the layer then gives on the data) -> the new array
Visit = Callable[[Leaf, Array, Callable[[Array], Array]], Array]


class _Held(NamedTuple):
  """A variable that is made of parameters and constants, computed where it is used."""

  value: Callable[[list[Array]], Array]  # params -> array
  leaves: frozenset[int] = frozenset()
  curved: frozenset[int] = frozenset()  # leaves that it is not linear in


class _Pass(NamedTuple):
  """What the pass carries."""

  described: list[Leaf]
  params: list[Array]  # changed in place
  met: set[int]
  visit: Visit


def refitted(model: Model, data: Data | None, leaves: Tree, variables: Variables, examples: int, visit: Visit) -> Tree:
  """variables['params'] after `visit` has seen every weight and bias in the order of the forward pass in evaluation mode.

  Args:
    model, leaves: as an init gets them.
    data: the first `examples` inputs of the training set are passed.
    variables: as the model's `init` gives them.
    examples: all, if there are fewer.
    visit: what changes an array.

  Raises:
    ValueError: no data; a weight used inside of a loop, or in which the layer is not linear; a weight that no input meets.
  """
  if data is None:
    raise ValueError('layers are fitted to what they give on the data, but there are no data')
  x = jax.tree.map(lambda a: a[:examples], data.train.x)
  rest = {name: value for name, value in variables.items() if name != 'params'}
  params, structure = jax.tree.flatten(variables['params'])
  call = lambda params, x, rest: model.apply({**rest, 'params': jax.tree.unflatten(structure, params)}, x)
  closed = jax.make_jaxpr(call)(params, x, rest)
  walk = _Pass(jax.tree.leaves(leaves, is_leaf=lambda leaf: isinstance(leaf, Leaf)), [*params], set(), visit)
  held = [_Held(lambda params, i=i: params[i], frozenset({i})) for i in range(len(params))]
  constants = [_held(value) for value in (*jax.tree.leaves(rest), *closed.consts)]
  fixed = constants[: len(constants) - len(closed.consts)]
  _run(closed.jaxpr, constants[len(fixed) :], [*held, *jax.tree.leaves(x), *fixed], walk)
  missed = [leaf for i, leaf in enumerate(walk.described) if leaf.fan_in > 1 and _is_weight(leaf) and i not in walk.met]
  if missed:
    raise ValueError(f'{missed[0].name} {missed[0].shape} is in no product with the data, so nothing can be fitted to it')
  return jax.tree.unflatten(structure, walk.params)


def _held(value: Array) -> _Held:
  return _Held(lambda params: value)


def _is_weight(leaf: Leaf) -> bool:
  return leaf.role not in ('bias', 'scale')


def _run(jaxpr: core.Jaxpr, consts: list, values: list, walk: _Pass) -> list:
  known = dict(zip(jaxpr.constvars, consts, strict=True)) | dict(zip(jaxpr.invars, values, strict=True))
  read = lambda v: _held(v.val) if isinstance(v, core.Literal) else known[v]
  for eqn in jaxpr.eqns:
    known |= zip(eqn.outvars, _equation(jaxpr, eqn, [read(v) for v in eqn.invars], walk), strict=True)
  return [read(v) for v in jaxpr.outvars]


def _equation(jaxpr: core.Jaxpr, eqn: core.JaxprEqn, values: list, walk: _Pass) -> list:
  if jaxprs.called(eqn) is not None:
    direct = next(eqn.params[name] for name in jaxprs.CALLS if name in eqn.params)
    return _run(jaxprs.called(eqn), [_held(value) for value in getattr(direct, 'consts', ())], values, walk)
  held = [v for v in values if isinstance(v, _Held)]
  compute = lambda params: jaxprs.applied(jaxpr, eqn, [v.value(params) if isinstance(v, _Held) else v for v in values])
  made = frozenset().union(*(v.leaves for v in held))
  if len(held) == len(values):
    curved = frozenset().union(*(v.curved for v in held)) | _curved(eqn, held, made)
    return [_Held(lambda params, i=i: compute(params)[i], made, curved) for i in range(len(eqn.outvars))]
  curved = frozenset().union(*(v.curved for v in held))
  for i in sorted(made - walk.met):
    _meet(eqn, i, i in curved, compute, walk)
  return compute(walk.params)


def _meet(eqn: core.JaxprEqn, i: int, curved: bool, compute, walk: _Pass) -> None:
  leaf, name = walk.described[i], eqn.primitive.name
  if name in LOOPS and _is_weight(leaf):
    raise ValueError(f'{leaf.name} {leaf.shape} is used inside of a loop ({name}), where layers do not come one after the other')
  if not (name in CONTRACTIONS and _is_weight(leaf)) and not (name in SUMS and leaf.role == 'bias'):
    return
  if curved:
    raise ValueError(f'the layer of {leaf.name} {leaf.shape} is not linear in it, so that scaling it need not scale the outputs')
  walk.met.add(i)
  replaced = lambda w: [w if k == i else value for k, value in enumerate(walk.params)]
  walk.params[i] = walk.visit(leaf, walk.params[i], lambda w: compute(replaced(w))[0])


def _curved(eqn: core.JaxprEqn, held: list[_Held], made: frozenset[int]) -> frozenset[int]:
  """The leaves in which an equation without data is not linear: it bends them, has them twice, or adds a constant."""
  name = eqn.primitive.name
  if name not in (*LINEAR, 'reduce_sum'):
    return made
  counts = {i: sum(i in v.leaves for v in held) for i in made}
  if name in SUMS:
    return frozenset(i for i, n in counts.items() if n < len(held))
  divisor = held[1].leaves if name == 'div' else frozenset()
  return frozenset(i for i, n in counts.items() if n > 1) | divisor
