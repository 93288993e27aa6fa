"""All singular values of weight matrices and of their change."""

import jax.numpy as jnp

from dynamics import trees
from dynamics.components import component
from dynamics.linalg import dense, spectrum
from dynamics.trees import at_least_float32
from dynamics.types import Array, Probe


@component()
def weight_spectrum() -> Probe:
  """The singular values s of weight matrices W and of their change W - W0 since step 0.

  W is each array with two or more axes, taken as a matrix of all axes but the last by the last, as in `weight_matrices`, which
  has the largest s, the stable rank, and a rank by s^2. Its smaller side is r. At step 0 the change has s = 0, and rank and
  condition are NaN.

  Reading:
    singular_of/leaf, change_singular_of/leaf (r,), a parameter: s, the largest first.
    effective_rank_of/leaf, change_effective_rank_of/leaf (): exp of the entropy of s over their sum, between 1 and r.
    log_condition_of/leaf, change_log_condition_of/leaf (): the natural logarithm of the largest over the smallest s; infinite
      where the smallest is at most rounding of W, as of a change of low rank.
  Cost: two singular value decompositions of each matrix, without vectors; no state.
  Oracle: numpy in float64.
  Source: Roy and Vetterli 2007 (effective rank).
  """

  def measure(view, state, key):
    now, start = trees.by_path(view.variables['params']), trees.by_path(view.initial['params'])
    reading = {}
    for path in _matrices(now):
      w, w0 = (at_least_float32(of[path]).reshape(-1, of[path].shape[-1]) for of in (now, start))
      spectra = {'': dense.singular_values(w), 'change_': dense.singular_values(w - w0)}
      zero = spectrum.rounding(spectra[''][0], max(w.shape))
      for prefix, s in spectra.items():
        for name, value in _summaries(s, zero).items():
          reading.setdefault(f'{prefix}{name}_of', {})[path] = value
    return reading, state

  def init(view):
    named = trees.by_path(view.variables['params'])
    if not _matrices(named):
      shapes = ', '.join(f'{path} {w.shape}' for path, w in named.items())
      raise ValueError(f'weight_spectrum needs a parameter array with two or more axes, but they are {shapes}')
    return ()

  return Probe(init, measure)


def _matrices(named: dict[str, Array]) -> list[str]:
  return [path for path, w in named.items() if w.ndim > 1]


def _summaries(s: Array, zero: Array) -> dict[str, Array]:
  log_condition = jnp.where(s[0] == 0, jnp.nan, jnp.log(spectrum.ratio(s, zero)))
  return {'singular': s, 'effective_rank': spectrum.entropy_rank(s), 'log_condition': log_condition}
