"""Params from elsewhere: from another run, or from the model's own initialisers."""

import fnmatch
from typing import Literal

from dynamics import trees
from dynamics.components import component
from dynamics.inits import distributions
from dynamics.inits.independent import Init, independent
from dynamics.leaves import map_leaves
from dynamics.schema import Traced


@component(needs=('source',))
def source(
  *,
  where: str = '*',
  others: Literal['gaussian', 'truncated', 'uniform', 'orthogonal'] = 'gaussian',
  init_scale: Traced(least=0.0) = 1.0,
) -> Init:
  """Params of the source run, where `where` matches their path and the shapes agree; all others are drawn.

  Args:
    where: a pattern of paths, such as 'hidden_*'.
    others: the distribution of the weights that are not taken over.
    init_scale: multiplies the weights that are drawn.

  Raises:
    ValueError: in the init: no parameter that could be taken over.
  """
  draw = independent(getattr(distributions, others), init_scale)

  def init(key, leaves, data):
    known = trees.by_path(data.source['params'])
    fits = lambda leaf: fnmatch.fnmatch(leaf.name, where) and leaf.name in known and known[leaf.name].shape == leaf.shape
    taken = []

    def place(leaf, drawn):
      if not fits(leaf):
        return drawn
      taken.append(leaf.name)
      return known[leaf.name].astype(leaf.dtype)

    params = map_leaves(place, leaves, draw(key, leaves, data))
    if not taken:
      raise ValueError(f'no parameter that matches {where!r} has name and shape of one of the source: {", ".join(known)}')
    return params

  return init


@component()
def module() -> Init:
  """What the model's own initialisers draw."""
  return None
