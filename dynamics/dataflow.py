"""How a model uses its parameters: each leaf followed through the jaxpr to the operations in which it meets the input.

Every variable of the jaxpr is *data*, which depends on the model's input x, or it is made of parameters and constants alone.
The latter carry links: which axes of which leaves lie along which of their axes. Where a linked variable meets data, the
operation tells what the leaf does there (a `Use`). So reshaping, scaling, masking or normalising a parameter changes nothing,
and neither do its name and the order of the module's attributes.
"""

import collections
import functools
import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend import core

from dynamics import jaxprs
from dynamics.axes import Axes, Piece, extent, moved
from dynamics.types import Tree, Variables

Kind = Literal['weight', 'rows', 'data', 'bias', 'scale']

SUMS = ('add', 'sub', 'add_any')
CONTRACTIONS = ('dot_general', 'conv_general_dilated')
SELECTIONS = ('slice', 'dynamic_slice', 'squeeze', 'reshape', 'broadcast_in_dim', 'split')
LINEAR = (*SELECTIONS, 'dot_general', 'transpose', 'convert_element_type', 'mul', 'div', 'neg', 'copy', *SUMS)


class Use(NamedTuple):
  """One meeting of a leaf with data.

  weight: contracted with data over `inputs`. rows: read by index along `inputs`. bias: added, along feature axes alone.
  scale: multiplied. data: joined with activations, as position embeddings (added along an axis that is no feature), class
  tokens and initial states are; `inputs` are then the axes of the positions.
  """

  leaf: int
  kind: Kind
  inputs: tuple[Piece, ...]
  outputs: tuple[Piece, ...]
  before: frozenset[int]  # leaves on which the other operand depends
  constant: bool = False  # the other operand does not depend on x
  window: tuple[Piece, ...] = ()  # of `inputs`, those that are places of a convolution's window


class _Link(NamedTuple):
  """A leaf inside a variable that is made of parameters and constants."""

  leaf: int
  axes: Axes
  left: tuple[Piece, ...] = ()  # contracted with a parameter that stands on its left in a product
  right: tuple[Piece, ...] = ()  # and on its right
  readable: bool = True  # False: a summary of the leaf, such as its norm


class _Pending(NamedTuple):
  """A use that turns into a contraction by what is done with its result, if that is all the result is for."""

  number: int
  summed: Axes  # the pieces that a sum over each axis contracts: a sum of rows, or a product and a sum
  read: Axes | None  # those along each axis of rows: a row that is itself contracted with data is the weight of an expert


FEATURE, COPY = 0, 1  # what takes the place of a leaf's axis in `_Value.features`; copies are those of a batch of parameters


class _Value(NamedTuple):
  """What is known of a variable."""

  data: bool
  leaves: frozenset[int]  # that it depends on
  features: Axes  # axes that a parameter has written, or the last one of x; the others are examples and positions
  links: tuple[_Link, ...] = ()
  pending: tuple[_Pending, ...] = ()


def uses(apply: Callable, variables: Variables, x: Tree) -> tuple[list[Use], frozenset[int]]:
  """All uses in the order of the forward pass, and the leaves that reach an output; leaves by their numbers.

  Args:
    apply: (variables, x) -> outputs, in evaluation mode. It is traced and not run.
    variables: with the collection 'params'; shapes are enough.
    x: array or tree of arrays; shapes are enough.
  """
  rest = {name: value for name, value in variables.items() if name != 'params'}
  call = lambda params, x, rest: apply({**rest, 'params': params}, x)
  params, x, rest = jax.eval_shape(lambda *args: args, variables['params'], x, rest)
  jaxpr = jax.make_jaxpr(call)(params, x, rest).jaxpr
  leaves, inputs = len(jax.tree.leaves(params)), len(jax.tree.leaves(x))

  def value(i, v):
    features = tuple((Piece(FEATURE, n),) for n in v.aval.shape)
    if i < leaves:
      axes = tuple((Piece(k, n),) for k, n in enumerate(v.aval.shape))
      return _Value(False, frozenset({i}), features, (_Link(i, axes),))
    if i >= leaves + inputs:
      return _constant(v)
    floating = jnp.issubdtype(v.aval.dtype, jnp.inexact)
    return _Value(True, frozenset(), (*((),) * (v.aval.ndim - 1), *features[-1:]) if floating else ((),) * v.aval.ndim)

  record: list[Use] = []
  outputs = _run(jaxpr, [value(i, v) for i, v in enumerate(jaxpr.invars)], record)
  return record, frozenset().union(*(v.leaves for v in outputs))


# ---- the walk through a jaxpr ---------------------------------------------------------------------------------------


def _run(jaxpr: core.Jaxpr, values: Sequence[_Value], record: list[Use]) -> list[_Value]:
  variables = [*jaxpr.outvars, *(v for eqn in jaxpr.eqns for v in eqn.invars)]
  counts = collections.Counter(v for v in variables if not isinstance(v, core.Literal))
  known = dict(zip(jaxpr.invars, values, strict=True))

  def read(v):
    if isinstance(v, core.Literal) or v not in known:
      return _constant(v)
    return known[v]._replace(pending=()) if counts[v] > 1 else known[v]

  for eqn in jaxpr.eqns:
    known |= zip(eqn.outvars, _equation(eqn, [read(v) for v in eqn.invars], record), strict=True)
  return [read(v) for v in jaxpr.outvars]


def _equation(eqn: core.JaxprEqn, values: list[_Value], record: list[Use]) -> list[_Value]:
  name = eqn.primitive.name
  if name in CONTROL:
    return CONTROL[name](eqn, values, record)
  called = jaxprs.called(eqn)
  if called is not None and all(a.aval.ndim == b.aval.ndim for a, b in zip(called.invars, eqn.invars, strict=True)):
    return _run(called, values, record)
  data, linked = any(v.data for v in values), [i for i, v in enumerate(values) if v.links]
  pending = ()
  if linked and name in READERS and (data or (len(linked) == 1 and name in CONTRACTIONS)):
    before = frozenset().union(*(v.leaves for v in values if v.data))
    for place in linked:
      for use, results in READERS[name](eqn, place, values):
        pending += (_Pending(len(record), *results),) if results and data else ()
        record.append(use._replace(before=use.before | before, constant=not data))
  elif name == 'reduce_sum':
    _sum(values[0].pending, eqn.params['axes'], record)
  elif name == 'dot_general' and data:
    for place, value in enumerate(values):
      _expert(eqn, place, value.pending, values[1 - place].leaves, record)
  elif name == 'convert_element_type':
    pending = values[0].pending
  leaves = frozenset().union(*(v.leaves for v in values))
  links = lambda after: () if data else _merged([link for i in linked for link in _carried(eqn, i, values, after)])
  return [_Value(data, leaves, _features(eqn, values, v.aval), links(v.aval), pending) for v in eqn.outvars]


def _constant(v) -> _Value:
  return _Value(False, frozenset(), ((),) * len(v.aval.shape))


def _features(eqn, values: list[_Value], after) -> Axes:
  """Of each axis the largest feature that any operand has there; parameters that are added or joined make none."""
  name, data = eqn.primitive.name, any(v.data for v in values)
  joined = data and READERS.get(name) is _joined

  def features(i, v):
    if not data or v.data or name not in CONTRACTIONS:
      return v.features
    whole, batch = tuple((Piece(FEATURE, n),) for n in eqn.invars[i].aval.shape), ()
    if name == 'dot_general':
      contracted, batch = eqn.params['dimension_numbers'][0][1 - i], eqn.params['dimension_numbers'][1][i]
      if not v.links and not any(values[1 - i].features[k] for k in contracted):
        return v.features  # a constant that mixes positions
    return tuple((Piece(COPY, f.size),) if v.links and k in batch else (f,) for k, (f,) in enumerate(whole))

  onward = [moved(eqn, i, features(i, v), after) for i, v in enumerate(values) if v.data or not joined]
  size = lambda pieces: (bool(pieces) * extent(pieces), min((p.axis for p in pieces), default=FEATURE))
  largest = [max((axes[k] for axes in onward if axes), key=size, default=()) for k in range(after.ndim)]
  label = lambda f, n: (Piece(min(p.axis for p in f), min(extent(f), n)),) if f else ()
  return tuple(map(label, largest, after.shape))


def _carried(eqn, place: int, values: list[_Value], after) -> list[_Link]:
  """The links of an operand after an equation without data."""
  name = eqn.primitive.name
  partner = any(v.links for i, v in enumerate(values) if i != place)

  def carry(link):
    axes = moved(eqn, place, link.axes, after)
    if axes is None:
      return link._replace(axes=((),) * after.ndim, readable=False)
    contracted = ()
    if name == 'dot_general':
      contracted = tuple(p for k in eqn.params['dimension_numbers'][0][place] for p in link.axes[k])
      side = 'left' if place else 'right'
      link = link._replace(**{side: getattr(link, side) + contracted}) if partner else link
    elif name == 'gather' and place == 0:
      how = eqn.params['dimension_numbers']
      rows = tuple(p for k in how.start_index_map for p in link.axes[k])
      axes = tuple(a if k in how.offset_dims else a + rows for k, a in enumerate(axes))
    elif name not in SELECTIONS:
      contracted = {*sum(link.axes, ())} - {*sum(axes, ())}
    summary = name == 'fft' or (extent(contracted) > 1 and not (name == 'dot_general' and partner))
    curved = (link.left or link.right) and name not in LINEAR
    return link._replace(axes=axes, readable=link.readable and not summary and not curved)

  return [carry(link) for link in values[place].links]


def _merged(links: list[_Link]) -> tuple[_Link, ...]:
  """One link for each leaf: the one that shows most of it, such as w in w / |w|."""
  best: dict[int, _Link] = {}
  for link in links:
    rank = lambda link: (link.readable, extent(sum(link.axes, ())))
    if link.leaf not in best or rank(link) > rank(best[link.leaf]):
      best[link.leaf] = link
  return tuple(best.values())


def _sum(pending: tuple[_Pending, ...], axes: Sequence[int], record: list[Use]) -> None:
  for number, pieces, _ in pending:
    summed, outputs = tuple(dict.fromkeys(p for k in axes for p in pieces[k])), record[number].outputs
    if summed:
      outputs = tuple(p for p in outputs if p not in summed)
      record[number] = record[number]._replace(kind='weight', inputs=summed, outputs=outputs)


def _expert(eqn, place: int, pending: tuple[_Pending, ...], other: frozenset[int], record: list[Use]) -> None:
  contracted, batch = (pair[place] for pair in eqn.params['dimension_numbers'])
  for number, _, pieces in pending:
    inputs = tuple(p for k in contracted for p in pieces[k]) if pieces else ()
    outputs = tuple(p for k in range(len(pieces or ())) if k not in contracted and k not in batch for p in pieces[k])
    if extent(inputs) > 1 and extent(outputs) > 1:
      before = record[number].before | other
      record[number] = record[number]._replace(kind='weight', inputs=inputs, outputs=outputs, before=before)


# ---- what a leaf does where it meets data -----------------------------------------------------------------------------

Reading = tuple[Use, tuple[Axes, Axes | None] | None]  # and what makes a `_Pending` of its result, if anything


def _product(eqn, place: int, values: list[_Value]) -> list[Reading]:
  contracted, batch = (pair[place] for pair in eqn.params['dimension_numbers'])
  return _contracted(values[place].links, contracted, batch, eqn.invars[place].aval.shape)


def _convolution(eqn, place: int, values: list[_Value]) -> list[Reading]:
  """A filter reads its window and the channels of its group."""
  if place == 0 or eqn.params['batch_group_count'] != 1:
    return []
  rhs = eqn.params['dimension_numbers'].rhs_spec
  return _contracted(values[1].links, (*rhs[2:], rhs[1]), (), eqn.invars[1].aval.shape, rhs[2:])


def _contracted(links: Sequence[_Link], contracted: Sequence[int], batch: Sequence[int], shape, window=()) -> list[Reading]:
  """The uses of the leaves of a matrix that is contracted with data.

  Factors A B of the matrix are read as layers one after the other, from the one whose side meets data. A leaf without a
  contracted axis scales the outputs of the others.
  """
  free = [k for k in range(len(shape)) if k not in contracted and k not in batch]
  on = lambda link, dims: tuple(p for k in dims for p in link.axes[k])
  size = math.prod(shape[k] for k in contracted)
  readings = []
  for link in _plain(links):
    reads, writes = on(link, contracted), on(link, free)
    scale = not reads and (size > 1 or any(on(other, contracted) for other in links) or not (contracted or extent(writes) > 1))
    outputs = on(link, (*batch, *free)) if scale else writes
    readings.append((Use(link.leaf, 'scale' if scale else 'weight', reads, outputs, frozenset(), False, on(link, window)), None))
  chain = [link for link in links if link.left or link.right]
  entry = next((i for i, link in enumerate(chain) if on(link, contracted)), None)
  if entry is None or not all(link.readable and not on(link, batch) for link in chain):
    return readings
  before: frozenset[int] = frozenset()
  for i, link in [*enumerate(chain)][entry:] + [*enumerate(chain)][:entry][::-1]:
    reads, writes = on(link, contracted), on(link, free)
    inputs = reads if i == entry else link.left if i > entry else link.right
    outputs = (*(link.left if i <= entry else ()), *(link.right if i >= entry else ()), *writes)
    outputs += () if i == entry else reads
    readings.append((Use(link.leaf, 'weight', inputs, outputs, before), None))
    before |= {link.leaf}
  return readings


def _rows(eqn, place: int, values: list[_Value]) -> list[Reading]:
  """Whole rows at places that depend on data."""
  before, after = eqn.invars[0].aval, eqn.outvars[0].aval
  if eqn.primitive.name == 'gather':
    how = eqn.params['dimension_numbers']
    read, positions = how.start_index_map, [k for k in range(after.ndim) if k not in how.offset_dims]
  else:
    read, positions = [k for k, size in enumerate(eqn.params['slice_sizes']) if size < before.shape[k]], []
  readings = []
  for link in _plain(values[0].links if place == 0 else ()):
    inputs = tuple(p for k in read for p in link.axes[k])
    outputs = tuple(p for k, pieces in enumerate(link.axes) if k not in read for p in pieces)
    summed = tuple(inputs if k in positions else () for k in range(after.ndim))
    across = moved(eqn, 0, link.axes, after)
    readings.append((Use(link.leaf, 'rows', inputs, outputs, frozenset()), across and (summed, across)))
  return readings


def _joined(eqn, place: int, values: list[_Value]) -> list[Reading]:
  """Added along features alone it is a bias; added along positions too, or placed among activations, it is data."""
  name, readings = eqn.primitive.name, []
  if name == 'select_n' and place == 0:
    return []
  for link, axes in _beside(eqn, place, values):
    positions = tuple(p for pieces, kinds, _ in axes if not kinds and extent(pieces) > 1 for p in pieces)
    outputs = tuple(p for pieces, kinds, _ in axes if kinds != {COPY} for p in pieces if p not in positions)
    readings.append((Use(link.leaf, 'data' if positions or name not in SUMS else 'bias', positions, outputs, frozenset()), None))
  return readings


def _scaled(eqn, place: int, values: list[_Value]) -> list[Reading]:
  """A product entry by entry; a sum over it, if that is all it is for, makes it a contraction."""
  name, readings = eqn.primitive.name, []
  for link, axes in _beside(eqn, place, values):
    outputs = tuple(p for pieces, kinds, _ in axes if kinds != {COPY} for p in pieces)
    varies = [bool(kinds) and size == 1 for pieces, kinds, size in axes if extent(pieces) > 1]
    kind = 'weight' if name == 'mul' and varies and all(varies) else 'scale'  # one feature times a vector is an outer product
    readings.append((Use(link.leaf, kind, (), outputs, frozenset()), (link.axes, None) if axes and name == 'mul' else None))
  return readings


def _beside(eqn, place: int, values: list[_Value]):
  """Links with, for each axis, their pieces and what data has there: the kinds of its features, and its size."""
  rank = eqn.outvars[0].aval.ndim
  data = [(v.features, x.aval.shape) for v, x in zip(values, eqn.invars, strict=True) if v.data and x.aval.ndim == rank]
  kinds = [{p.axis for features, _ in data for p in features[k]} for k in range(rank)]
  sizes = [max((shape[k] for _, shape in data), default=0) for k in range(rank)]
  return [(link, [*zip(link.axes, kinds, sizes, strict=True)] if link.axes else []) for link in _plain(values[place].links)]


def _plain(links: Sequence[_Link]) -> list[_Link]:
  return [link for link in links if link.readable and not link.left and not link.right]


READERS = {'dot_general': _product, 'conv_general_dilated': _convolution, 'gather': _rows, 'dynamic_slice': _rows,
           'mul': _scaled, 'div': _scaled}  # fmt: skip
READERS |= dict.fromkeys((*SUMS, 'concatenate', 'select_n', 'dynamic_update_slice'), _joined)


# ---- loops and branches -----------------------------------------------------------------------------------------------


def _scan(eqn, values: list[_Value], record: list[Use]) -> list[_Value]:
  """Stacked operands lose their first axis: it counts layers or times."""
  consts, carry = eqn.params['num_consts'], eqn.params['num_carry']
  at = lambda v, axes: v._replace(
    features=axes(v.features), links=tuple(link._replace(axes=axes(link.axes)) for link in v.links), pending=()
  )
  rows = [at(v, lambda axes: axes[1:]) for v in values[consts + carry :]]
  body = lambda state, record: _run(eqn.params['jaxpr'].jaxpr, [*values[:consts], *state, *rows], record)
  state, outs = _repeated(body, values[consts : consts + carry], record)
  return [*state, *(at(v, lambda axes: ((), *axes)) for v in outs[carry:])]


def _while(eqn, values: list[_Value], record: list[Use]) -> list[_Value]:
  start, consts = eqn.params['cond_nconsts'], eqn.params['body_nconsts']
  body = lambda state, record: _run(eqn.params['body_jaxpr'].jaxpr, [*values[start : start + consts], *state], record)
  return _repeated(body, values[start + consts :], record)[0]


def _cond(eqn, values: list[_Value], record: list[Use]) -> list[_Value]:
  branches = [_run(branch.jaxpr, values[1:], record) for branch in eqn.params['branches']]
  outs = [functools.reduce(_either, values) for values in zip(*branches, strict=True)]
  for branch in branches:
    _enter(branch, outs, record)
  return outs


def _repeated(body, state: list[_Value], record: list[Use]) -> tuple[list[_Value], list[_Value]]:
  """What is known of a loop's state when another turn adds nothing to it, and the outputs of that turn; its uses are recorded."""
  before, start = None, [v._replace(pending=()) for v in state]
  state = start
  while before != state:
    before, state = state, [_either(a, b) for a, b in zip(state, body(state, list(record)), strict=False)]
  _enter(start, state, record)
  return state, body(state, record)


def _enter(start: list[_Value], state: list[_Value], record: list[Use]) -> None:
  """Parameters that become data by a loop or a branch: initial states."""
  for before, after in zip(start, state, strict=True):
    for link in _plain(before.links) if after.data and not before.data else ():
      positions = tuple(p for pieces, f in zip(link.axes, after.features, strict=True) if not f for p in pieces if p.size > 1)
      outputs = tuple(p for p in sum(link.axes, ()) if p not in positions)
      record.append(Use(link.leaf, 'data', positions, outputs, frozenset()))


def _either(a: _Value, b: _Value) -> _Value:
  """What is known of a value that is a or b. It only grows, so loops end."""
  data = a.data or b.data
  links = {link.leaf: link for link in a.links}
  for link in b.links:
    unlike = links.get(link.leaf, link) != link
    links[link.leaf] = _Link(link.leaf, ((),) * len(link.axes), readable=False) if unlike else link
  features = tuple(max(pair, key=lambda f: bool(f) * extent(f)) for pair in zip(a.features, b.features, strict=True))
  return _Value(data, a.leaves | b.leaves, features, () if data else tuple(links.values()))


CONTROL = {'scan': _scan, 'while': _while, 'cond': _cond}
