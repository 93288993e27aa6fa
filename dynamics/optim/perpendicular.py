"""The perpendicular gradient: the part of each gradient that does not merely rescale its weights."""

import jax
import optax

from dynamics import trees

TINY = 1e-30  # keeps 0/0 out where a weight or a projected gradient is exactly zero


def perpendicular(rescale: bool = True) -> optax.GradientTransformation:
  """g <- g - (<w, g> / <w, w>) w for each leaf w; with `rescale` then stretched to the length g had.

  The rescaling is in the authors' code. It needs the parameters in `update`.
  Source: 2501.04697 (perpendicular gradient).
  """

  def project(g, w):
    flat = g - (trees.dot(w, g) / (trees.dot(w, w) + TINY)).astype(g.dtype) * w
    return flat * (trees.norm(g) / (trees.norm(flat) + TINY)).astype(g.dtype) if rescale else flat

  def update(updates, params):
    if params is None:
      raise ValueError('perpendicular needs the parameters: call update(grads, state, params)')
    return jax.tree.map(project, updates, params)

  return optax.stateless(update)
