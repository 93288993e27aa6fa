"""Parametrizations: three numbers a, b, c a leaf, after 2011.14522 (abc-parametrizations).

The network sees a w, where w is trained; w starts with standard deviation b; and w's learning rate is c times the run's. An
init draws a weight with standard deviation fan_in^(-1/2), and a parametrization multiplies that by b sqrt(fan_in). c depends on
whether the optimizer divides by the gradient's size (Adam) or not (SGD). Biases and scales keep their start.

The abc symmetry: (a, b, c) -> (a s, b / s, c / s^2), or c / s where updates are normalised, leaves every trajectory in function
space as it is. It is tested.
"""

import fnmatch
import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import jax.numpy as jnp

from dynamics.components import component
from dynamics.leaves import Leaf, map_leaves, weights
from dynamics.schema import Range
from dynamics.types import Tree


class ABC(NamedTuple):
  a: float
  b: float
  c: float


Multipliers = Callable[[Leaf, bool], ABC]  # (leaf, normalised?)


def parametrized(multipliers: Multipliers):
  """The transform of a parametrization."""

  def transform(model):
    if 'parametrization' in model.transforms:
      raise ValueError('transforms has two parametrizations: leave one of them out')
    if 'subspace' in model.transforms:
      raise ValueError('a parametrization acts on layers, which a subspace hides: put it before the subspace')

    def init(key, data):
      variables = model.init(key, data)

      def start(leaf, w):
        factor = 1.0 if leaf.role in ('bias', 'scale') else multipliers(leaf, False).b * leaf.fan_in**0.5
        return w * jnp.asarray(factor, w.dtype)

      return {**variables, 'params': map_leaves(start, model.leaves(), variables['params'])}

    def seen(params):
      return map_leaves(lambda leaf, w: w * jnp.asarray(multipliers(leaf, False).a, w.dtype), model.leaves(), params)

    def forward(variables, x, **mode):
      return model.forward(on_params(seen, variables), x, **mode)

    def inside(variables):
      return model.weights(on_params(seen, variables))

    def rates(normalised):
      return map_leaves(lambda leaf: multipliers(leaf, normalised).c, model.leaves())

    plain = all(multipliers(leaf, normalised).c == 1 for leaf in weights(model.leaves()) for normalised in (False, True))
    applied = (*model.transforms, 'parametrization')
    given = None if plain else rates
    return model._replace(init=init, forward=forward, rates=given, transforms=applied, weights=inside)

  return transform


def on_params(function, variables):
  """`variables` with params, and those of the start where they are there, replaced by `function` of them."""
  names = [name for name in ('params', 'initial') if name in variables]
  return {**variables, **{name: function(variables[name]) for name in names}}


@component()
def ntk():
  """a = 1/sqrt(fan_in), b = 1. Source: 1806.07572."""
  return parametrized(lambda leaf, normalised: ABC(leaf.fan_in**-0.5, 1.0, 1.0))


@component()
def mean_field():
  """One hidden layer, f = (1/width) sum_i v_i phi(w_i x), learning rate times width. Source: 1804.06561.

  Raises:
    ValueError: a hidden-to-hidden weight; with iid weights the limit is degenerate there.
  """

  def multipliers(leaf, normalised):
    if leaf.role == 'hidden':
      raise ValueError(f'mean_field is for networks with one hidden layer; {leaf.name} is a second')
    if leaf.role == 'output':
      return ABC(1.0 / leaf.fan_in, 1.0, 1.0 if normalised else float(leaf.fan_in))
    a = leaf.fan_in**-0.5 if leaf.role == 'input' else 1.0
    return ABC(a, 1.0, 1.0 if normalised else float(leaf.fan_out))

  return parametrized(multipliers)


@component()
def mup(*, base: Range(int, least=1) = 64):
  """The maximal-update parametrization relative to width `base`. Source: 2203.03466, table 8.

  Learning rates carry over from one width to another; at width `base` the run is that of no parametrization but for the
  readout, whose multiplier is base/fan_in on weights of standard deviation 1/sqrt(base).
  """

  return parametrized(_mup(base))


def _mup(base: int) -> Multipliers:
  def multipliers(leaf, normalised):
    relative_in, relative_out = leaf.fan_in / base, leaf.fan_out / base
    if leaf.role == 'output':
      return ABC(1.0 / relative_in, base**-0.5, 1.0 if normalised else relative_in)
    if leaf.role == 'hidden':
      return ABC(1.0, leaf.fan_in**-0.5, 1.0 / relative_in if normalised else 1.0)
    return ABC(1.0, leaf.fan_in**-0.5, 1.0 if normalised else relative_out)

  return multipliers


@component()
def depth_mup(*, base: Range(int, least=1) = 64, power: Range(float, least=0.0) = 0.5, ends: str = '*'):
  """`mup` in width, and in the depth L of a residual network branches times L^(-power). Source: 2310.02244, table 1.

  The last layer of a branch, weight and bias, is multiplied by L^(-power). The rates of all hidden weights, and of the biases of
  those layers, are multiplied by L^(power - 1) where updates are normalised and by L^(2 power - 1) where they are not: each of
  the L branches then changes the outputs by a share 1/L. For the power 1/2, depth-muP, this is 1/sqrt(L) for Adam and 1 for SGD.
  Power 1 is the limit of an ordinary differential equation; power 0 has no multiplier.

  Args:
    base: width at which the rates are those of no parametrization.
    power: of 1/L, in the multiplier of a branch.
    ends: pattern of the paths of the hidden weights that end a branch, '*/layer_1/kernel'; L is their number. All hidden weights
      where a block has one layer.

  Raises:
    ValueError: in the transform: a pattern that matches no hidden weight.
  """
  return lambda model: parametrized(_deep(_mup(base), model.leaves(), ends, power))(model)


@component()
def u_mup(*, ends: str = '', embedding: Literal['fan_out', 'one'] = 'fan_out'):
  """Unit-scaled muP: every weight starts with standard deviation 1. Source: 2407.17465, table 2.

  a is 1/sqrt(fan_in) of input and hidden weights and 1/fan_in of the readout. Under Adam c is 1/sqrt(fan_in) of hidden weights
  and 1 of the readout and biases. Under SGD, by the abc symmetry with `mup`, c is fan_in of hidden weights and of the readout,
  and fan_out of input weights and biases. What the source does inside of operations (gains of activations, other factors in the
  backward pass) is no part of a parametrization.

  Args:
    ends: as in `depth_mup` with power 1/2, which multiplies their branches and rates; '' is a network without branches.
    embedding: c of an input weight under Adam: 'fan_out' is 1/sqrt(fan_out), 'one' is 1, as in `mup`.

  Raises:
    ValueError: in the transform: a pattern that matches no hidden weight.
  """

  def multipliers(leaf, normalised):
    if leaf.role == 'output':
      return ABC(1.0 / leaf.fan_in, 1.0, 1.0 if normalised else float(leaf.fan_in))
    if leaf.role == 'hidden':
      return ABC(leaf.fan_in**-0.5, 1.0, leaf.fan_in**-0.5 if normalised else float(leaf.fan_in))
    if leaf.role == 'input':
      adam = leaf.fan_out**-0.5 if embedding == 'fan_out' else 1.0
      return ABC(leaf.fan_in**-0.5, 1.0, adam if normalised else float(leaf.fan_out))
    return ABC(1.0, 1.0, 1.0 if normalised else float(leaf.fan_out))

  if not ends:
    return parametrized(multipliers)
  return lambda model: parametrized(_deep(multipliers, model.leaves(), ends, 0.5))(model)


def _deep(multipliers: Multipliers, leaves: Tree, ends: str, power: float) -> Multipliers:
  """The multipliers with a of the layers that end a branch times L^(-power), and the rates that keep each branch's share."""
  hidden = [leaf for leaf in weights(leaves) if leaf.role == 'hidden']
  last = [leaf for leaf in hidden if fnmatch.fnmatch(leaf.name, ends)]
  if not last:
    names = ', '.join(leaf.name for leaf in hidden) or 'none'
    raise ValueError(f'ends {ends!r} of the parametrization matches no hidden weight; they are {names}')
  depth = sum(_copies(leaf) for leaf in last)
  parent = lambda leaf: leaf.name.rpartition('/')[0]
  writing, inside = {parent(leaf) for leaf in last}, {parent(leaf) for leaf in hidden}

  def deep(leaf, normalised):
    a, b, c = multipliers(leaf, normalised)
    within = leaf.role in ('hidden', 'bias')
    a *= depth**-power if within and parent(leaf) in writing else 1.0
    c *= depth ** ((power if normalised else 2 * power) - 1) if within and parent(leaf) in inside else 1.0
    return ABC(a, b, c)

  return deep


def _copies(leaf: Leaf) -> int:
  return math.prod(n for k, n in enumerate(leaf.shape) if k not in (*leaf.inputs, *leaf.outputs))
