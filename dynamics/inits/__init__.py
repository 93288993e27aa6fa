"""Initial distributions: a law (the shape of a leaf's distribution) under a rule (its scale and learning rate).

`Init = (key, leaves, hyper) -> params` is joint over all leaves, because balanced or data-dependent starts are no
products; `independent` is the joint init of independent leaves. An init that looks at the data is `data -> Init`.
"""

import fnmatch

import jax.numpy as jnp

from dynamics import trees
from dynamics.inits import rules
from dynamics.inits.factors import factors
from dynamics.inits.joint import Init, aligned, balanced, correlation, principal
from dynamics.inits.laws import Law, block, dale, gaussian, low_rank, orthogonal, power_law, truncated, uniform
from dynamics.inits.leaves import Leaf, describe, over, weights
from dynamics.inits.rules import ABC, Rule, mean_field, mup, ntk, standard

__all__ = ['ABC', 'Init', 'Law', 'Leaf', 'Rule', 'aligned', 'balanced', 'block', 'correlation', 'dale', 'describe', 'factors',
           'gaussian', 'independent', 'low_rank', 'mean_field', 'mup', 'ntk', 'orthogonal', 'over', 'placed', 'power_law',
           'principal', 'rules', 'standard', 'truncated', 'uniform', 'weights']  # fmt: skip


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


def placed(pattern: str, law: Law, others: Law = gaussian, rule: Rule = standard) -> Init:
  """`independent`, with `law` for the weights whose path matches `pattern` ('recurrent/*') and `others` for the rest.

  Hyper value `gain`, where there is one, multiplies the weights of `law` alone.

  Raises:
    ValueError: in the init: a pattern that no weight matches.
  """
  mine = lambda leaf: leaf.role not in ('bias', 'scale') and fnmatch.fnmatch(leaf.name, pattern)
  draw = independent(lambda key, leaf: (law if mine(leaf) else others)(key, leaf), rule)

  def init(key, leaves, hyper):
    if not any(mine(leaf) for leaf in weights(leaves)):
      raise ValueError(f'no weight matches {pattern!r}; they are {", ".join(leaf.name for leaf in weights(leaves))}')
    params = draw(key, leaves, hyper)
    if 'gain' not in hyper:
      return params
    return over(lambda leaf, w: w * hyper['gain'].astype(leaf.dtype) if mine(leaf) else w, leaves, params)

  return init
