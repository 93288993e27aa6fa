"""Hidden values of a network, by name: the activations that it shows, and what its weights put out.

The model is traced for one example, and its jaxpr is evaluated equation by equation. A shift may be added to each hidden value:
the derivative with respect to the shift, at zero, is that with respect to the value. What happens inside of loops, branches and
custom derivatives is not seen.
"""

import math
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend import core

from dynamics import jaxprs, trees
from dynamics.linalg.sites import INLINED
from dynamics.types import Array, Model, Tree, Variables

Name = tuple[Literal['activation', 'preactivation'], str]
Rows = Callable[[Array], Array]  # a hidden value -> (positions, units)

SUMS = ('add', 'add_any', 'sub')
SAME_ORDER = ('reshape', 'squeeze', 'expand_dims', 'broadcast_in_dim', 'convert_element_type', 'copy')


class Place(NamedTuple):
  """Where a hidden value arises."""

  output: jax.ShapeDtypeStruct  # of one example, and of its shift
  rows: Rows
  reaches: bool  # whether an output of the model depends on it


class Hidden(NamedTuple):
  places: Mapping[Name, Place]
  forward: Callable  # (variables, x of one example, {name: shift}) -> (outputs (1, ..., k), {name: (positions, units)})


class _Product(NamedTuple):
  name: Name
  output: jax.ShapeDtypeStruct
  rows: Rows


class _Value(NamedTuple):
  """The value of a variable, and what is known of it without numbers."""

  array: Array
  data: bool = False  # whether it depends on the model's input
  leaves: frozenset[int] = frozenset()  # parameters on which it depends
  places: frozenset[Name] = frozenset()  # hidden values on which it depends
  product: _Product | None = None  # which it is, with its biases so far and up to its shape


class _Trace(NamedTuple):
  """What the evaluation of a jaxpr has met so far."""

  leaves: tuple[tuple[int, str], ...]  # size and name of each parameter
  shifts: Mapping[Name, Array]
  products: dict[Name, _Product]
  values: dict[Name, Array]  # of the products, (positions, units)


def hidden(model: Model, variables: Variables, x: Tree) -> Hidden:
  """Traces `model` for one example of x (n, ...), an array or a tree, or their shapes; computes nothing.

  Activations are the features of floats that the model shows. A preactivation is the product, by `dot_general` or a convolution,
  of a value that depends on x and a weight, which is made of parameters and constants, with the bias: whatever is added to it
  next that does not depend on x. Its shift is added before the bias. It is named after the largest parameter array that the
  weight is made of: 'w', and 'w@2', 'w@3' where this is used again.
  """
  parameters, rest = variables['params'], {name: value for name, value in variables.items() if name != 'params'}

  def call(params, rest, x):
    outputs, trace = model.forward({**rest, 'params': params}, x)
    return outputs, {('activation', name): h for name, h in trace.features.items() if jnp.issubdtype(h.dtype, jnp.floating)}

  example = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((1, *leaf.shape[1:]), leaf.dtype), x)
  closed, (_, shown) = jax.make_jaxpr(call, return_shape=True)(parameters, rest, example)
  shown, targets = dict(sorted(shown.items())), {}  # in the order of jax
  for name, v in zip(shown, closed.jaxpr.outvars[1:], strict=True):
    if not isinstance(v, core.Literal):
      targets.setdefault(v, []).append(name)
  leaves = tuple((leaf.size, name) for name, leaf in trees.by_path(parameters).items())

  def evaluate(params, rest, x, shifts):
    values = [_Value(w, leaves=frozenset({i})) for i, w in enumerate(jax.tree.leaves(params))]
    values += [_Value(array) for array in jax.tree.leaves(rest)]
    values += [_Value(array, data=True) for array in jax.tree.leaves(x)]
    trace = _Trace(leaves, shifts, {}, {})
    return *_evaluate(closed.jaxpr, [_Value(array) for array in closed.consts], values, targets, trace), trace

  def forward(variables, x, shifts):
    rest = {name: value for name, value in variables.items() if name != 'params'}
    outputs, *features, trace = evaluate(variables['params'], rest, jax.tree.map(lambda a: a[None], x), shifts)
    activations = {name: _last(h.array) for name, h in zip(shown, features, strict=True)}
    return outputs.array, activations | trace.values

  seen = []
  jax.eval_shape(lambda *args: seen.append(evaluate(*args, {})), parameters, rest, example)
  outputs, *_, trace = seen[0]
  places = {name: Place(h, _last, name in outputs.places) for name, h in shown.items()}
  places |= {name: Place(product.output, product.rows, name in outputs.places) for name, product in trace.products.items()}
  return Hidden(places, forward)


def _last(h: Array) -> Array:
  return h.reshape(-1, h.shape[-1])


def _evaluate(jaxpr: core.Jaxpr, consts, args, targets: Mapping[core.Var, list[Name]], trace: _Trace) -> list[_Value]:
  """The outputs of a jaxpr. `targets` are the variables that are activations; preactivations are collected in `trace`."""
  values = {}
  read = lambda v: _Value(v.val) if isinstance(v, core.Literal) else values[v]

  def bind(variables, results):
    for v, value in zip(variables, results, strict=True):
      values[v] = _shifted(value, targets.get(v, ()), trace)

  bind([*jaxpr.constvars, *jaxpr.invars], [*consts, *args])
  for eqn in jaxpr.eqns:
    operands = [read(v) for v in eqn.invars]
    inner = eqn.params.get(INLINED.get(eqn.primitive.name))
    if inner is None:
      bind(eqn.outvars, _equation(jaxpr, eqn, operands, trace))
      continue
    closed = inner if isinstance(inner, core.ClosedJaxpr) else core.ClosedJaxpr(inner, ())
    # An activation is shifted where it arises, so that all who read it see the shift.
    pairs = [(a, b) for a, b in zip(closed.jaxpr.outvars, eqn.outvars, strict=True) if not isinstance(a, core.Literal)]
    within = {a: [name for c, b in pairs if c is a for name in targets.get(b, ())] for a, _ in pairs}
    results = _evaluate(closed.jaxpr, [_Value(array) for array in closed.consts], operands, within, trace)
    values |= zip(eqn.outvars, results, strict=True)
  return [read(v) for v in jaxpr.outvars]


def _shifted(value: _Value, names, trace: _Trace) -> _Value:
  for name in names:
    array = value.array + trace.shifts[name] if name in trace.shifts else value.array
    value = value._replace(array=array, places=value.places | {name})
  return value


def _equation(jaxpr: core.Jaxpr, eqn: core.JaxprEqn, operands: list[_Value], trace: _Trace) -> list[_Value]:
  results = jaxprs.applied(jaxpr, eqn, [value.array for value in operands])
  union = lambda field: frozenset().union(*(getattr(value, field) for value in operands))
  known = _Value(None, any(value.data for value in operands), union('leaves'), union('places'))
  outs = [known._replace(array=array) for array in results]
  name, data = eqn.primitive.name, [i for i, value in enumerate(operands) if value.data]
  if len(data) != 1:
    return outs
  (i,), (first, *_) = data, outs
  if name in PRODUCTS and operands[1 - i].leaves and (rows := PRODUCTS[name](eqn, i)):
    leaf = max(trace.leaves[j] for j in operands[1 - i].leaves)[1]
    uses = sum(of.split('@')[0] == leaf for _, of in trace.products)
    at = ('preactivation', f'{leaf}@{uses + 1}' if uses else leaf)
    product = _Product(at, jax.ShapeDtypeStruct(first.array.shape, first.array.dtype), rows)
    first = _shifted(first, [at], trace)
    trace.products[at], trace.values[at] = product, rows(first.array)
    return [first._replace(product=product)]
  product, adds = operands[i].product, name in SUMS and (i == 0 or name != 'sub')
  if product and first.array.size == operands[i].array.size and (adds or name in SAME_ORDER):
    if adds:
      trace.values[product.name] = product.rows(first.array.reshape(product.output.shape))
    return [first._replace(product=product)]
  return outs


# ---- products: (equation, which operand depends on the input) -> rows, or None -----------------------------------------


def _dot(eqn: core.JaxprEqn, i: int) -> Rows:
  contracted, batch = eqn.params['dimension_numbers']
  shared = len(batch[0])
  free = [v.aval.ndim - shared - len(axes) for v, axes in zip(eqn.invars, contracted, strict=True)]
  sides = range(shared, shared + free[0]), range(shared + free[0], shared + sum(free))
  return _rows(sides[i], (*range(shared), *sides[1 - i]))


def _convolution(eqn: core.JaxprEqn, i: int) -> Rows | None:
  out = eqn.params['dimension_numbers'].out_spec
  return None if i else _rows((out[0], *out[2:]), out[1:2])


def _rows(positions, units) -> Rows:
  return lambda z: jnp.transpose(z, (*positions, *units)).reshape(-1, math.prod(z.shape[axis] for axis in units))


PRODUCTS = {'dot_general': _dot, 'conv_general_dilated': _convolution}
