"""Parametrizations: three numbers a, b, c a leaf, after 2011.14522 (abc-parametrizations).

The network sees a w, where w is trained; w starts with standard deviation b; and w's learning rate is c times the run's. An
init draws a weight with standard deviation fan_in^(-1/2), and a parametrization multiplies that by b sqrt(fan_in). c depends on
whether the optimizer divides by the gradient's size (Adam) or not (SGD). Biases and scales keep their start.

The abc symmetry: (a, b, c) -> (a s, b / s, c / s^2), or c / s where updates are normalised, leaves every trajectory in function
space as it is. It is tested.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp

from dynamics.components import component
from dynamics.leaves import Leaf, map_leaves, weights
from dynamics.schema import Range


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

    def rates(normalised):
      return map_leaves(lambda leaf: multipliers(leaf, normalised).c, model.leaves())

    plain = all(multipliers(leaf, normalised).c == 1 for leaf in weights(model.leaves()) for normalised in (False, True))
    applied = (*model.transforms, 'parametrization')
    return model._replace(init=init, forward=forward, rates=None if plain else rates, transforms=applied)

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

  def multipliers(leaf, normalised):
    relative_in, relative_out = leaf.fan_in / base, leaf.fan_out / base
    if leaf.role == 'output':
      return ABC(1.0 / relative_in, base**-0.5, 1.0 if normalised else relative_in)
    if leaf.role == 'hidden':
      return ABC(1.0, leaf.fan_in**-0.5, 1.0 / relative_in if normalised else 1.0)
    return ABC(1.0, leaf.fan_in**-0.5, 1.0 if normalised else relative_out)

  return parametrized(multipliers)
