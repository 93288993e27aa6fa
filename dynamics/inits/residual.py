"""Residual networks that begin as the identity: every branch ends in zeros."""

from dynamics.components import component
from dynamics.inits import distributions
from dynamics.inits.branches import last_of_branches
from dynamics.inits.independent import Init, Plain, Scale, independent
from dynamics.leaves import map_leaves


@component()
def zero_branches(*, others: Plain = 'gaussian', init_scale: Scale = 1.0) -> Init:
  """The last weight of every residual branch is 0, or the scale of a normalisation after it, and the others are drawn.

  The network then computes what it would without its branches. A branch is what is added to a value from which it was computed,
  or the longer one of two that are added to each other; names play no part.

  Args:
    others: the distribution of all other weights.
    init_scale: multiplies these.

  Raises:
    ValueError: in the init: a model without residual branches.
  Source: 1706.02677 (section 5.1, zero scales); 1901.09321 (Fixup, zero last layers).
  """
  draw = independent(getattr(distributions, others), init_scale)

  def init(key, leaves, data, *, model):
    ends = last_of_branches(model, data, leaves)
    if not ends:
      raise ValueError('zero_branches needs residual branches that end in a weight or a scale, but this model has none')
    return map_leaves(lambda leaf, w: 0 * w if leaf.name in ends else w, leaves, draw(key, leaves, data))

  return init
