"""What a network has learned of each mode of its task."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from dynamics.inits.joint import correlation, features
from dynamics.linalg import dense
from dynamics.losses import Loss
from dynamics.trees import at_least_float32
from dynamics.types import Array, Probe


class Directions(NamedTuple):
  """The singular triplets of the training set's input-output correlation."""

  left: Array  # (k, r)
  singular: Array  # (r,)
  right: Array  # (d, r)


def modes(apply: Callable[..., Array], loss: Loss) -> Probe:
  """How strongly the network answers along each singular direction of its task.

  Reading: strength (r,), u_i^T R v_i, where R = (1/n) sum f(x) x^T (k, d) is the response to the training inputs and u_i, v_i
    are the singular vectors of the correlation (1/n) sum y x^T, the strongest first; target (r,), its singular values;
    outside (), the Frobenius norm of R less sum_i strength_i u_i v_i^T; singular (r,), the singular values of R. All in
    units of an output times a feature; r is the smaller of k and d. Where inputs are white, R is the network's linear map.
  Cost: one forward pass over the training set and the singular values of a (k, d) matrix; memory of (k + d + 1) r.
  Oracle: numpy in float64, from its own svd.
  Source: 1312.6120 (mode strengths). Labels count as for `inits.correlation`; inputs that are tokens are refused.
  """

  def init(view):
    k = jax.eval_shape(apply, view.variables, view.data.train.x).shape[-1]
    return Directions(*correlation(view.data.train, k))

  def measure(view, kept, key):
    x = features(view.data.train)
    response = at_least_float32(apply(view.variables, view.data.train.x)).astype(x.dtype).T @ x / x.shape[0]
    strength = jnp.sum(kept.left * (response @ kept.right), axis=0)
    reading = {
      'strength': strength,
      'target': kept.singular,
      'outside': jnp.linalg.norm(response - (kept.left * strength[None]) @ kept.right.T),
      'singular': dense.singular_values(response),
    }
    return reading, kept

  return Probe(init, measure)
