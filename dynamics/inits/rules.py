"""Rules: the parametrisation of a leaf as three numbers, after 2011.14522 (abc-parametrisations).

theta = a w is what the network sees, w is what is trained, std(w) = b at step 0, and w's learning rate is c times the
run's. `normalised` says whether the optimiser divides by the gradient's size (adam) or not (sgd): c depends on it.

The abc symmetry: (a, b, c) -> (a s, b / s, c / s^2), or c / s where normalised, leaves every function-space trajectory
as it is. It is tested.
"""

from collections.abc import Callable
from typing import NamedTuple

from dynamics.inits.leaves import Leaf


class ABC(NamedTuple):
  a: float
  b: float
  c: float


Rule = Callable[[Leaf, bool], ABC]  # (leaf, normalised) -> multipliers

BASE = 64  # the width at which mup has the learning rates of `standard`


def standard(leaf: Leaf, normalised: bool) -> ABC:
  """b = 1/sqrt(fan_in), no multipliers: what most code does."""
  return ABC(1.0, leaf.fan_in**-0.5, 1.0)


def ntk(leaf: Leaf, normalised: bool) -> ABC:
  """a = 1/sqrt(fan_in), b = 1. Source: 1806.07572."""
  return ABC(leaf.fan_in**-0.5, 1.0, 1.0)


def mean_field(leaf: Leaf, normalised: bool) -> ABC:
  """One hidden layer, f = (1/width) sum_i v_i phi(w_i x), learning rate times width. Source: 1804.06561.

  Raises:
    ValueError: a hidden-to-hidden weight; with iid weights the limit is degenerate there.
  """
  if leaf.role == 'hidden':
    raise ValueError(f'mean_field is for networks with one hidden layer; {leaf.name} is a second')
  if leaf.role == 'output':
    return ABC(1.0 / leaf.fan_in, 1.0, 1.0 if normalised else float(leaf.fan_in))
  a = leaf.fan_in**-0.5 if leaf.role == 'input' else 1.0
  return ABC(a, 1.0, 1.0 if normalised else float(leaf.fan_out))


def mup(leaf: Leaf, normalised: bool) -> ABC:
  """The maximal-update parametrisation relative to width 64. Source: 2203.03466, table 8.

  Learning rates move from one width to another; at width 64 the run is that of `standard` but for the readout, whose
  multiplier is 1/fan_in on weights of unit size times 1/sqrt(64).
  """
  wide_in, wide_out = leaf.fan_in / BASE, leaf.fan_out / BASE
  if leaf.role == 'output':
    return ABC(1.0 / wide_in, BASE**-0.5, 1.0 if normalised else wide_in)
  if leaf.role == 'hidden':
    return ABC(1.0, leaf.fan_in**-0.5, 1.0 / wide_in if normalised else 1.0)
  return ABC(1.0, leaf.fan_in**-0.5, 1.0 if normalised else wide_out)
