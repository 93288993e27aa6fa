"""Training of v in place of the weights w = w(v): normalised, standardised, conditioned, companded.

A *unit* is one output of a weight: an entry of its output axes, and of the axes that count copies. Weights of one input, such
as embeddings, and biases and scales stay as they are.
"""

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp

from dynamics import trees
from dynamics.components import component
from dynamics.leaves import Leaf, map_leaves
from dynamics.schema import Traced
from dynamics.transforms.parametrization import on_params
from dynamics.types import Array


@component()
def weight_norm(*, direction_scale: Traced(above=0.0) = 1.0):
  """w = g v / |v| in every unit, with v (the direction) and g (the gain, a scale) trained. It starts as the network does.

  The trained tree is {'direction': like the params, 'gain': {path: 1 along the inputs}}. The gradient of v is orthogonal to v,
  so |v| grows under plain gradient descent: |v|^2 rises by the square of the step. A unit that starts at zero stays there.

  Args:
    direction_scale: v starts at direction_scale w, which leaves w as it is. A small v turns fast: its learning rate counts as
      lr / |v|^2.

  Raises:
    ValueError: in the transform: a model that has been reparametrised, or whose layers a subspace hides.
  Source: 1602.07868, equations 2 and 3.
  """

  def transform(model):
    _allowed(model, 'weight_norm')
    flat = lambda tree: jax.tree.leaves(tree, is_leaf=lambda node: isinstance(node, Leaf))
    units = lambda: {leaf.name: leaf for leaf in flat(model.leaves()) if _has_units(leaf)}

    def seen(params):
      gain = params['gain']
      return map_leaves(
        lambda leaf, v: gain[leaf.name] * _direction(v, leaf) if leaf.name in gain else v, model.leaves(), params['direction']
      )

    def init(key, data):
      variables = model.init(key, data)
      values = trees.by_path(variables['params'])
      gain = {name: _norm(values[name], leaf) for name, leaf in units().items()}
      start = lambda leaf, w: jnp.asarray(direction_scale, w.dtype) * w if leaf.name in gain else w
      return {**variables, 'params': {'direction': map_leaves(start, model.leaves(), variables['params']), 'gain': gain}}

    def leaves():
      gain = {name: _gain(leaf) for name, leaf in units().items()}
      return {'direction': map_leaves(lambda leaf: leaf._replace(name=f'direction/{leaf.name}'), model.leaves()), 'gain': gain}

    def rates(normalised):
      inner = model.rates(normalised)
      return {'direction': inner, 'gain': {name: trees.by_path(inner)[name] for name in units()}}

    forward = lambda variables, x, **mode: model.forward(on_params(seen, variables), x, **mode)
    inside = lambda variables: model.weights(on_params(seen, variables))
    applied = (*model.transforms, 'weight_norm')
    given = model.rates and rates
    return model._replace(init=init, forward=forward, leaves=leaves, rates=given, transforms=applied, weights=inside)

  return transform


@component()
def weight_standardization(*, scale: Literal['one', 'fan_in'] = 'one', readout: bool = True):
  """w = (v - mean) / std in every unit, over its inputs.

  The gradient of v is orthogonal to 1 and to w, and the function does not change when v is scaled or shifted. A unit of equal
  entries has w = 0 and no gradient.

  Args:
    scale: of w: 'one' leaves its entries at variance 1, for networks that normalise after each layer; 'fan_in' divides them by
      sqrt(fan_in), so that a layer keeps the size of its inputs.
    readout: whether the output layer is standardised too. The source leaves it as it is.

  Raises:
    ValueError: in the transform: a model that has been reparametrised, or whose layers a subspace hides.
  Source: 1903.10520, equations 6 and 7; the scale 'fan_in' is that of 2101.08692.
  """

  def weight(v, leaf):
    mean = jnp.mean(v, axis=leaf.inputs, keepdims=True)
    size = _count(leaf) ** 0.5 / (leaf.fan_in**0.5 if scale == 'fan_in' else 1.0)
    return jnp.asarray(size, v.dtype) * _direction(v - mean, leaf)

  where = lambda leaf: _has_units(leaf) and (readout or leaf.role != 'output')
  return _of_weights('weight_standardization', weight, where=where)


@component()
def weight_conditioning():
  """w = v / |v| in every unit: the matrix of a layer is multiplied by the diagonal that makes its rows, one a unit, of length 1.

  That diagonal brings the condition number within sqrt(outputs) of the least that any diagonal gives. The gradient of v is
  orthogonal to v. It is `weight_norm` with all gains held at 1, so at the start the weights are not those that were drawn.

  Raises:
    ValueError: in the transform: a model that has been reparametrised, or whose layers a subspace hides.
  Source: 2409.03424.
  """
  return _of_weights('weight_conditioning', _direction)


@component()
def weight_compander(*, bound: Traced(above=0.0) = 4.0, knee: Traced(above=0.0) = 1.0, power: Traced(least=1.0) = 1.5):
  """w = a sign(v) (2/pi arctan(|v| / b))^(1/c): bounded by a, and steep at 0, so that small weights are pushed away from it.

  a = bound / sqrt(fan_in) and b = knee / sqrt(fan_in). v starts where w is what was drawn; what is drawn beyond 0.99 a starts at
  0.99 a. dw/dv = (2 a / (pi c b)) (2/pi arctan(|v|/b))^(1/c - 1) / (1 + v^2/b^2), and at v = 0, where that is infinite for
  c > 1, the gradient is taken as 0. The source's function is of this kind; this form of it is ours.

  Args:
    bound: the largest |w|, in units of fan_in^(-1/2).
    knee: the v at which w turns from steep to flat, in the same unit.
    power: c; 1 bounds the weights without pushing them from 0.

  Raises:
    ValueError: in the transform: a model that has been reparametrised, or whose layers a subspace hides.
  Source: 2306.16993.
  """
  numbers = lambda leaf, dtype: [jnp.asarray(n, dtype) for n in (bound * leaf.fan_in**-0.5, knee * leaf.fan_in**-0.5, power)]

  def weight(v, leaf):
    a, b, c = numbers(leaf, v.dtype)
    size = jnp.where(v == 0, jnp.ones_like(v), jnp.abs(v))  # the gradient at 0 stays finite
    return jnp.where(v == 0, jnp.zeros_like(v), a * jnp.sign(v) * (2 / jnp.pi * jnp.arctan(size / b)) ** (1 / c))

  def start(w, leaf):
    a, b, c = numbers(leaf, w.dtype)
    return jnp.sign(w) * b * jnp.tan(jnp.pi / 2 * jnp.minimum(jnp.abs(w) / a, 0.99) ** c)

  return _of_weights('weight_compander', weight, start, lambda leaf: leaf.role not in ('bias', 'scale'))


REPARAMETRISED = ('weight_norm', 'weight_standardization', 'weight_conditioning', 'weight_compander')


def _of_weights(name: str, weight: Callable[[Array, Leaf], Array], start=None, where: Callable[[Leaf], bool] | None = None):
  """The transform whose model sees weight(v, leaf) where leaves are `where`, and starts at start(w, leaf), w by default."""
  chosen = where or _has_units
  each = lambda function, leaves, params: map_leaves(lambda leaf, v: function(v, leaf) if chosen(leaf) else v, leaves, params)

  def transform(model):
    _allowed(model, name)

    def init(key, data):
      variables = model.init(key, data)
      return {**variables, 'params': each(start, model.leaves(), variables['params'])} if start else variables

    def changed(variables):
      return on_params(lambda params: each(weight, model.leaves(), params), variables)

    forward = lambda variables, x, **mode: model.forward(changed(variables), x, **mode)
    inside = lambda variables: model.weights(changed(variables))
    return model._replace(init=init, forward=forward, transforms=(*model.transforms, name), weights=inside)

  return transform


def _allowed(model, name: str) -> None:
  before = [other for other in model.transforms if other in REPARAMETRISED]
  if before:
    raise ValueError(f'transforms has {before[0]} before {name}, and each of them replaces the weights: leave one of them out')
  if 'subspace' in model.transforms:
    raise ValueError(f'{name} acts on layers, which a subspace hides: put it before the subspace')


def _has_units(leaf: Leaf) -> bool:
  return leaf.role not in ('bias', 'scale') and _count(leaf) > 1 and not {*leaf.inputs} & {*leaf.outputs} and leaf.fan_in > 1


def _count(leaf: Leaf) -> int:
  """Entries of one unit."""
  count = 1
  for axis in leaf.inputs:
    count *= leaf.shape[axis]
  return count


def _norm(v: Array, leaf: Leaf) -> Array:
  """|v| of every unit, with 1 along the inputs."""
  square = jnp.sum(jnp.square(trees.at_least_float32(v)), axis=leaf.inputs, keepdims=True)
  return jnp.sqrt(square).astype(v.dtype)


def _direction(v: Array, leaf: Leaf) -> Array:
  """v / |v| of every unit; 0, with no gradient, where v is 0."""
  wide = trees.at_least_float32(v)
  square = jnp.sum(jnp.square(wide), axis=leaf.inputs, keepdims=True)
  nonzero = square > 0
  return jnp.where(nonzero, wide * jax.lax.rsqrt(jnp.where(nonzero, square, jnp.ones_like(square))), jnp.zeros_like(wide)).astype(
    v.dtype
  )


def _gain(leaf: Leaf) -> Leaf:
  shape = tuple(1 if k in leaf.inputs else n for k, n in enumerate(leaf.shape))
  return Leaf(f'gain/{leaf.name}', shape, leaf.dtype, 1, leaf.fan_out, 'scale', (), leaf.outputs, leaf.depth)
