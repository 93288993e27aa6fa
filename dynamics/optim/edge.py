"""A learning rate read off the batch at hand: 2 over the largest eigenvalue of its Hessian, by a few steps of Lanczos."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from dynamics import trees
from dynamics.linalg.lanczos import flat, tridiagonal
from dynamics.linalg.quadrature import gauss
from dynamics.types import Array


class Edge(NamedTuple):
  count: Array  # () int32, steps
  largest: Array  # () the eigenvalue in use, in the loss's unit over a parameter squared; 0 before the first reading


def edge(*, every: int = 10, lanczos: int = 10, hold: float = 0.9, ridge=0.0) -> optax.GradientTransformationExtraArgs:
  """u -> (2 / lambda) u: the step beyond which gradient descent grows along the sharpest direction of a quadratic.

  At steps 0, every, 2 every, ... lambda becomes max(ritz, hold lambda): it rises at once and falls slowly, because one flat
  batch says little about the next. ritz is the largest Ritz value of H + ridge after `lanczos` products, started from the
  incoming updates: exact if these lie in no more eigenspaces than that, else below the largest eigenvalue. If ritz is not
  positive (no curvature, only negative curvature, zero updates) or not finite, lambda stays as it is; until it is positive for
  the first time, updates are zero. NaN in the updates passes.

  `update` needs the argument `hessian`, params -> (v -> H v), which `stages.advance` hands over: that of the loss of the current
  batch, a mean over all devices that share it. `ridge`, which may be traced, is the curvature of a weight decay.

  Under `vmap` every step pays the products; one member after the other (layout 'map'), those steps alone.
  Source: 2006.09092 (rates from the spectrum of the batch Hessian); start vector and `hold` are ours.
  """

  def init(params):
    return Edge(jnp.zeros((), jnp.int32), jnp.zeros((), flat(params).dtype))

  def update(updates, state, params=None, *, hessian=None, **others):
    if hessian is None or params is None:
      raise ValueError('edge needs the parameters and the argument `hessian`, params -> (v -> H v)')

    def look(operands):
      params, updates = operands
      matvec, shape = hessian(params), flat(params)
      product = lambda v: shape.ravel(matvec(shape.unravel(v))) + jnp.asarray(ridge, v.dtype) * v
      with jax.default_matmul_precision('float32'):
        alphas, betas, _, _ = tridiagonal(product, shape.ravel(updates), min(lanczos, trees.size(params)))
      ritz = gauss(alphas, betas)[0][-1]
      held = jnp.maximum(ritz, jnp.asarray(hold, ritz.dtype) * state.largest)
      return jnp.where(jnp.isfinite(ritz) & (ritz > 0), held, state.largest)

    largest = jax.lax.cond(state.count % every == 0, look, lambda operands: state.largest, (params, updates))
    rate = jnp.where(largest > 0, 2 / jnp.where(largest > 0, largest, 1), 0)
    return jax.tree.map(lambda u: rate.astype(u.dtype) * u, updates), Edge(state.count + 1, largest)

  return optax.GradientTransformationExtraArgs(init, update)
