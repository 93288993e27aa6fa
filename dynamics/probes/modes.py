"""What a network has learned of each mode of its task."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from dynamics.components import component
from dynamics.inits.directions import correlation, features
from dynamics.linalg import dense
from dynamics.probes.evaluation import array
from dynamics.trees import at_least_float32
from dynamics.types import Array, Probe


class Directions(NamedTuple):
  """The singular triplets of the training set's input-output correlation."""

  left: Array  # (k, r)
  singular: Array  # (r,)
  right: Array  # (d, r)


@component(needs=('features',))
def modes() -> Probe:
  """How strongly the network answers along each singular direction of its task.

  R = (1/n) sum f(x) x^T (k, d) is the response to the training inputs, and u_i, v_i are the singular vectors of the correlation
  (1/n) sum y x^T, the strongest first; r is the smaller of k and d. Where inputs are white, R is the network's linear map.

  Reading:
    strength (r,), an output times a feature: u_i^T R v_i.
    target (r,), an output times a feature: the singular values of the correlation.
    outside (), an output times a feature: the Frobenius norm of R less sum_i strength_i u_i v_i^T.
    singular (r,), an output times a feature: the singular values of R.
  Cost: one forward pass over the training set and the singular values of a (k, d) matrix; (k + d + 1) r numbers of state.
  Oracle: numpy in float64, from its own svd.
  Source: 1312.6120 (mode strengths). Labels count as for `inits.correlation`; inputs that are tokens are refused.
  """

  def init(view):
    array(view.data.train.x)
    k = jax.eval_shape(view.problem.model.apply, view.variables, view.data.train.x).shape[-1]
    return Directions(*correlation(view.data.train, k))

  def measure(view, state, key):
    x = features(view.data.train)
    response = at_least_float32(view.problem.model.apply(view.variables, view.data.train.x)).astype(x.dtype).T @ x / x.shape[0]
    strength = jnp.sum(state.left * (response @ state.right), axis=0)
    reading = {
      'strength': strength,
      'target': state.singular,
      'outside': jnp.linalg.norm(response - (state.left * strength[None]) @ state.right.T),
      'singular': dense.singular_values(response),
    }
    return reading, state

  return Probe(init, measure)
