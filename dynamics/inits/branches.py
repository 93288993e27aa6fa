"""The residual branches of a model, read from its jaxpr: what is added to a value from which it was itself computed.

Every variable that depends on the inputs has a bit. A sum x + f(x) is one whose first operand is among the ancestors of the
second; a sum g(x) + f(x) of two layers' outputs has the branch with more layers, the other being a projection of the skip.
"""

import itertools
from typing import NamedTuple

import jax
from jax.extend import core

from dynamics import jaxprs
from dynamics.leaves import Leaf, weights
from dynamics.types import Data, Model, Tree

SAME = ('reshape', 'squeeze', 'broadcast_in_dim', 'convert_element_type', 'copy', 'transpose')  # the value stays what it was
LINEAR = (*SAME, 'neg', 'slice', 'rev', 'reduce_sum', 'cumsum', 'pad', 'reduce_precision')  # 0 stays 0
CONTRACTIONS = ('dot_general', 'conv_general_dilated', 'gather')


class Branch(NamedTuple):
  """One residual branch."""

  last: str | None  # the name of the last parameter that multiplies; where it is 0, so is the branch
  weights: frozenset[str]  # names of the parameters inside


class _Value(NamedTuple):
  """What is known of a variable. Sets of variables are the bits of whole numbers."""

  data: bool
  leaves: frozenset[int] = frozenset()  # the parameters that it is made of; empty where it depends on the inputs
  ancestors: int = 0  # itself included
  terms: int = 0  # the variables whose sum it is
  last: int | None = None  # a parameter that makes it 0 by being 0


class _Site(NamedTuple):
  """Where parameters meet data: the new variable's bit, and the ancestors of the data."""

  leaves: frozenset[int]
  bit: int
  before: int


class _Walk(NamedTuple):
  """What the walk has collected so far."""

  roles: list[str]
  bits: itertools.count
  sites: list[_Site]
  record: list[tuple[int | None, frozenset[int]]]  # branches: last, parameters inside
  scanned: set[int]  # parameters that a loop reads one copy at a time


def branches(model: Model, data: Data | None, leaves: Tree) -> tuple[list[Branch], frozenset[str]]:
  """Residual branches in the order of the forward pass, and the names of parameters that hold a copy for each turn of a loop.

  Raises:
    ValueError: no data, whose shapes the trace needs.
  """
  walk, names = _walked(model, data, leaves)
  named = lambda numbers: frozenset(names[i] for i in numbers)
  each = [Branch(None if last is None else names[last], named(inside)) for last, inside in walk.record]
  return each, named(walk.scanned)


def last_of_branches(model: Model, data: Data | None, leaves: Tree) -> frozenset[str]:
  """Names of the parameters at whose zeros all residual branches are 0: the last weight of each, or the scale after it."""
  return frozenset(branch.last for branch in branches(model, data, leaves)[0] if branch.last is not None)


def block_numbers(model: Model, data: Data | None, leaves: Tree, branches_per_block: int) -> dict[str, int]:
  """Name -> number of the block of every weight in one, from 1: so many branches are a block, or a weight if there are none.

  Raises:
    ValueError: weights of several blocks in one array.
  """
  each, scanned = branches(model, data, leaves)
  if not each:
    return {leaf.name: i for i, leaf in enumerate(weights(leaves), start=1)}
  numbers: dict[str, int] = {}
  shapes = {leaf.name: leaf.shape for leaf in weights(leaves)}
  for i, branch in enumerate(each):
    for name in branch.weights & {*shapes}:
      if name in scanned:
        raise ValueError(f'{name} {shapes[name]} holds the weights of several blocks in one array: unroll the scan over layers')
      numbers.setdefault(name, 1 + i // branches_per_block)
  return numbers


def _walked(model: Model, data: Data | None, leaves: Tree) -> tuple[_Walk, list[str]]:
  if data is None:
    raise ValueError('residual branches are read from a trace of the model on the data, but there are no data')
  example = jax.tree.map(lambda a: jax.ShapeDtypeStruct((1, *a.shape[1:]), a.dtype), data.train.x)
  variables = jax.eval_shape(lambda: model.init(jax.random.key(0, impl='threefry2x32'), data))
  params, rest = variables['params'], {name: value for name, value in variables.items() if name != 'params'}
  described = jax.tree.leaves(leaves, is_leaf=lambda leaf: isinstance(leaf, Leaf))
  jaxpr = jax.make_jaxpr(lambda params, x, rest: model.apply({**rest, 'params': params}, x))(params, example, rest).jaxpr
  walk = _Walk([leaf.role for leaf in described], itertools.count(), [], [], set())
  inputs = len(jax.tree.leaves(example))

  def value(i):
    if i < len(described):
      return _Value(False, frozenset({i}))
    return _fresh(walk) if i < len(described) + inputs else _Value(False)

  _run(jaxpr, [value(i) for i in range(len(jaxpr.invars))], walk)
  return walk, [leaf.name for leaf in described]


def _fresh(walk: _Walk, before: int = 0, terms: int = 0, last: int | None = None) -> _Value:
  bit = 1 << next(walk.bits)
  return _Value(True, frozenset(), before | bit, terms | bit, last)


def _run(jaxpr: core.Jaxpr, values: list[_Value], walk: _Walk) -> list[_Value]:
  known = dict(zip(jaxpr.invars, values, strict=True))
  read = lambda v: _Value(False) if isinstance(v, core.Literal) else known.get(v, _Value(False))
  for eqn in jaxpr.eqns:
    known |= zip(eqn.outvars, _equation(eqn, [read(v) for v in eqn.invars], walk), strict=True)
  return [read(v) for v in jaxpr.outvars]


def _equation(eqn: core.JaxprEqn, values: list[_Value], walk: _Walk) -> list[_Value]:
  name, data = eqn.primitive.name, [v for v in values if v.data]
  if not data:
    return [_Value(False, frozenset().union(*(v.leaves for v in values))) for _ in eqn.outvars]
  inner = jaxprs.called(eqn)
  if inner is not None:
    return _run(inner, values, walk)
  if name == 'scan':
    return _scan(eqn, values, walk)
  before = 0
  for v in data:
    before |= v.ancestors
  made = frozenset().union(*(v.leaves for v in values))
  terms = data[0].terms if name in SAME else 0
  if name in ('add', 'add_any') and len(data) == 2:
    terms = data[0].terms | data[1].terms
    _sum(*data, walk)
  outs = [_fresh(walk, before, terms, _last(name, values, walk)) for _ in eqn.outvars]
  if made:
    walk.sites.extend(_Site(made, out.ancestors & ~before, before) for out in outs)
  return outs


def _scan(eqn, values: list[_Value], walk: _Walk) -> list[_Value]:
  """One turn of a loop: what it carries depends on the inputs."""
  consts, carry = eqn.params['num_consts'], eqn.params['num_carry']
  walk.scanned.update(*(v.leaves for v in values[consts + carry :]))
  state = [v if v.data else _fresh(walk) for v in values[consts : consts + carry]]
  return _run(eqn.params['jaxpr'].jaxpr, [*values[:consts], *state, *values[consts + carry :]], walk)


def _last(name: str, values: list[_Value], walk: _Walk) -> int | None:
  """The parameter that makes the outcome of an equation 0 by being 0."""
  lasts = [v.last for v in values if v.data]
  made = [v for v in values if v.leaves]
  if name in CONTRACTIONS or name == 'mul':
    if made:
      return next(iter(made[0].leaves)) if len(made[0].leaves) == 1 else None
    return next((last for last in reversed(lasts) if last is not None), None)
  if name in ('add', 'add_any', 'sub'):
    bias = all(walk.roles[i] == 'bias' for v in made for i in v.leaves)
    constant = len(lasts) < 2 and not made
    return lasts[0] if bias and not constant and len({*lasts}) == 1 else None
  return values[0].last if name in LINEAR or name == 'div' else None


def _sum(a: _Value, b: _Value, walk: _Walk) -> None:
  """Records the branch of a sum, if it has one."""
  inside = lambda value, start: [s for s in walk.sites if s.bit & value.ancestors and s.before & start]
  leaves = lambda sites: frozenset().union(*(s.leaves for s in sites))
  for branch, skip in ((a, b), (b, a)):
    shared = skip.terms & branch.ancestors & ~branch.terms
    sites = inside(branch, 1 << shared.bit_length() - 1) if shared else ()  # from the latest value that both have
    if sites:
      walk.record.append((branch.last, leaves(sites)))
      return
  common = a.ancestors & b.ancestors
  only = [[s for s in inside(v, common) if not s.bit & common] for v in (a, b)]
  counts = [sum(any(walk.roles[i] not in ('bias', 'scale') for i in s.leaves) for s in sites) for sites in only]
  if min(counts) == 1 < max(counts) and not leaves(only[0]) & leaves(only[1]):
    long = counts.index(max(counts))
    walk.record.append(((a, b)[long].last, leaves(only[long])))
