"""Gradient descent on a product of two factors, one step of which moves their imbalance instead."""

import jax
import jax.numpy as jnp
import optax

from dynamics.inits import describe, weights
from dynamics.linalg import dense


def rebalance(at, beta) -> optax.GradientTransformation:
  """At step `at`, in place of the step: F <- beta U and G <- S V^T G / beta, for the factors F = U S V^T (i, h) and G (h, j).

  The product F G stays, and the imbalance F^T F - G G^T becomes beta^2 less what G then has. At other steps updates pass.
  Both arguments may be traced. It needs the parameters in `update`, and i of at least h.

  Under `vmap` every step pays the svd of F; one member after the other, that step alone.
  Source: 2310.01769 (one modified step), as we remember its form.
  """

  def replaced(updates, params):
    left, right = (leaf.name for leaf in weights(describe(params)))
    u, s, vt = dense.svd(params[left])
    strength = jnp.asarray(beta, u.dtype)
    new = {left: strength * u, right: (s[:, None] * vt) @ params[right] / strength}
    return {name: (new[name] - w).astype(updates[name].dtype) for name, w in params.items()}

  def init(params):
    return optax.ScaleByScheduleState(count=jnp.zeros((), jnp.int32))

  def update(updates, state, params):
    found = weights(describe(params))
    if len(found) != 2 or any(len(leaf.shape) != 2 for leaf in found) or found[0].shape[1] != found[1].shape[0]:
      raise ValueError(f'rebalance needs two factors of a matrix; the weights are {", ".join(leaf.name for leaf in found)}')
    if found[0].shape[0] < found[0].shape[1]:
      raise ValueError(f'rebalance needs a left factor with no more columns than rows; {found[0].name} is {found[0].shape}')
    due = state.count.astype(jnp.float32) == jnp.asarray(at, jnp.float32)
    updates = jax.lax.cond(due, replaced, lambda updates, params: updates, updates, params)
    return updates, state._replace(count=state.count + 1)

  return optax.GradientTransformation(init, update)
