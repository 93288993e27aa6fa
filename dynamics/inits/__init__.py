"""Initial distributions: a law (the shape of a leaf's distribution) under a rule (its scale and learning rate).

`Init = (key, leaves, hyper) -> params` is joint over all leaves, because balanced or data-dependent starts are no
products; `independent` is the joint init of independent leaves.
"""

from collections.abc import Callable

import jax.numpy as jnp

from dynamics import trees
from dynamics.inits import rules
from dynamics.inits.laws import gaussian, orthogonal, truncated, uniform
from dynamics.inits.leaves import Leaf, describe, over
from dynamics.inits.rules import ABC, Rule, mean_field, mup, ntk, standard
from dynamics.types import Array, Hyper, Key, Tree

__all__ = ['ABC', 'Init', 'Leaf', 'Rule', 'describe', 'gaussian', 'independent', 'mean_field', 'mup', 'ntk', 'orthogonal',
           'over', 'rules', 'standard', 'truncated', 'uniform']  # fmt: skip

Law = Callable[[Key, Leaf], Array]
Init = Callable[[Key, Tree, Hyper], Tree]


def independent(law: Law, rule: Rule = standard) -> Init:
  """Every weight from `law` with standard deviation b of `rule`, times hyper value `init_scale` where there is one.

  Biases start at 0 and scales at 1 under every rule.
  """

  def init(key, leaves, hyper):
    def draw(leaf):
      if leaf.role == 'bias':
        return jnp.zeros(leaf.shape, leaf.dtype)
      if leaf.role == 'scale':
        return jnp.ones(leaf.shape, leaf.dtype)
      # The spread does not depend on the optimiser, so either reading of the rule will do.
      w = law(trees.named_key(key, leaf.name), leaf) * jnp.asarray(rule(leaf, False).b, leaf.dtype)
      return w * hyper['init_scale'].astype(leaf.dtype) if 'init_scale' in hyper else w

    return over(draw, leaves)

  return init
