"""Weights as signs and as matrices, beside those of step 0."""

import jax.numpy as jnp

from dynamics import trees
from dynamics.components import component
from dynamics.linalg import dense, spectrum
from dynamics.schema import Range
from dynamics.types import Array, Probe, stateless


@component()
def weight_matrices(*, spectra: bool = True, tolerance: Range(float, above=0.0, most=1.0) = 1e-4) -> Probe:
  """Signs that have flipped since step 0, and the spectra of weight matrices W and of their change W - W0.

  W is each array with two or more axes, taken as a matrix of all axes but the last by the last. All but flipped are read with
  `spectra`. The ranks of the change are NaN at step 0.

  Args:
    spectra: whether to read more than signs.
    tolerance: of the numerical rank, a share of the largest singular value. Rounding in float32 is up to 1e-7 times the larger
      side of a matrix, 6e-5 for 512.

  Reading:
    flipped, flipped_of/leaf (): the share of parameters whose sign is the opposite of that at step 0; zero has no sign to flip.
    spectral_of/leaf, change_spectral_of/leaf (), a parameter: the largest singular value of W, and of W - W0.
    rank_of/leaf, change_rank_of/leaf (): exp of the entropy of the squared singular values.
    stable_rank_of/leaf, change_stable_rank_of/leaf (): the sum of the squared singular values over the largest of them.
    change_numerical_rank_of/leaf (): how many singular values of W - W0 are above `tolerance` times the largest; 0 at step 0.
  Cost: three passes over the parameters; with `spectra` the eigenvalues of two Gram matrices of the smaller side a matrix, and
    the singular values of one matrix; no state.
  Oracle: numpy in float64 on singular values, entry by entry for signs.
  Source: 2002.10365 (signs); Roy and Vetterli 2007 (rank).
  """

  def read(view, key):
    now, start = trees.by_path(view.variables['params']), trees.by_path(view.initial['params'])
    flips = {path: jnp.maximum(-jnp.sign(w) * jnp.sign(start[path]), 0).astype(jnp.float32) for path, w in now.items()}
    reading = {
      'flipped': sum(jnp.sum(f) for f in flips.values()) / trees.size(now),
      'flipped_of': {path: jnp.mean(f) for path, f in flips.items()},
    }
    if spectra:
      matrices = {path: w for path, w in now.items() if w.ndim > 1}
      of = {path: _spectrum(w) for path, w in matrices.items()}
      change = {path: _spectrum(w - start[path]) for path, w in matrices.items()}
      for name in ('spectral', 'rank', 'stable_rank'):
        reading[f'{name}_of'] = {path: values[name] for path, values in of.items()}
        reading[f'change_{name}_of'] = {path: values[name] for path, values in change.items()}
      reading['change_numerical_rank_of'] = {path: _numerical_rank(w - start[path], tolerance) for path, w in matrices.items()}
    return reading

  return stateless(read)


def _matrix(w: Array) -> Array:
  return trees.at_least_float32(w).reshape(-1, w.shape[-1])


def _numerical_rank(w: Array, tolerance: float) -> Array:
  """() a float, so that a change with NaN has the rank NaN. A Gram matrix would lose all below the root of rounding."""
  values = dense.singular_values(_matrix(w))
  return jnp.where(jnp.isnan(values[0]), jnp.nan, jnp.sum(values > tolerance * values[0], dtype=jnp.float32))


def _spectrum(w: Array) -> dict[str, Array]:
  w = _matrix(w)
  gram = w @ w.T if w.shape[0] < w.shape[1] else w.T @ w
  ranks = spectrum.rank(gram, positive=True)
  return {'spectral': jnp.sqrt(spectrum.eigenvalues(gram, positive=True)[0]), 'rank': ranks.entropy, 'stable_rank': ranks.stable}
