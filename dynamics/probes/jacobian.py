"""How a network's outputs follow its inputs: the singular values of its Jacobian."""

import jax
import jax.numpy as jnp

from dynamics.components import component
from dynamics.linalg import dense, spectrum
from dynamics.probes.evaluation import array, first, mean, network
from dynamics.schema import Range
from dynamics.trees import at_least_float32
from dynamics.types import Array, Probe


@component(needs=('features',))
def input_jacobian(*, examples: Range(int, least=1) = 16) -> Probe:
  """The singular values s of J = df / dx, one matrix (k, d) for each of the first `examples` training inputs.

  k counts all outputs of an example and d all of its features; r is the smaller of both. Every reading is a mean over examples,
  and its _se is that mean's standard error, NaN for a single example. Ranks are NaN where a Jacobian is zero.

  Reading:
    singular (r,), an output over a feature: s, the largest first.
    average, average_se (), an output over a feature: the mean of an example's r singular values.
    squared, squared_se (), its square: the sum of s^2, the squared Frobenius norm.
    stable_rank, stable_rank_se (): the sum of s^2 over the largest of them, between 1 and r.
    rank, rank_se (): exp of the entropy of s^2 over their sum, between 1 and r.
    log_condition, log_condition_se (): the natural logarithm of the largest over the smallest s; infinite where that is 0.
  Cost: the smaller of k and d passes over `examples` inputs, and the singular values of as many (k, d) matrices; no state.
  Oracle: numpy in float64 on Jacobians by the chain rule and by central differences.
  Source: 1711.04735 (spectra of Jacobians at the start); Roy and Vetterli 2007 (rank). Inputs that are tokens are refused.
  """

  def init(view):
    x = array(view.data.train.x)
    if not jnp.issubdtype(x.dtype, jnp.floating):
      raise ValueError(f'input_jacobian needs inputs of floats, of which it takes derivatives, but they are {x.dtype}{x.shape}')
    return ()

  def measure(view, state, key):
    x = array(first(view.data.train, examples).x)
    f = lambda single: network(view)(view.variables['params'], single[None]).reshape(-1)
    k, d = jax.eval_shape(f, x[0]).size, x[0].size
    jacobians = jax.vmap((jax.jacrev if k < d else jax.jacfwd)(f))(x)
    s = jax.vmap(dense.singular_values)(at_least_float32(jacobians).reshape(x.shape[0], k, d))
    reading = {'singular': jnp.mean(s, axis=0)}
    for name, values in _summaries(s).items():
      reading[name], reading[f'{name}_se'] = mean(values, jnp.ones_like(values))
    return reading, state

  return Probe(init, measure)


def _summaries(s: Array) -> dict[str, Array]:
  """Of singular values (n, r), the largest first: name -> (n,)."""
  energy = jnp.sum(s**2, axis=1)
  return {
    'average': jnp.mean(s, axis=1),
    'squared': energy,
    'stable_rank': energy / s[:, 0] ** 2,
    'rank': jax.vmap(spectrum.entropy_rank)(s**2),
    'log_condition': jnp.log(s[:, 0]) - jnp.log(s[:, -1]),
  }
