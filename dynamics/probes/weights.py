"""Weights as signs and as matrices, beside those of step 0."""

from collections.abc import Callable

import jax.numpy as jnp

from dynamics import trees
from dynamics.linalg import spectrum
from dynamics.losses import Loss
from dynamics.types import Array, Probe, stateless


def weights(apply: Callable[..., Array], loss: Loss, *, spectra: bool = True) -> Probe:
  """Signs that have flipped since step 0, and the spectra of weight matrices and of their change.

  Reading: flipped, the share of all parameters whose sign is the opposite of that at step 0 (), and of each parameter array
    under flipped_of/; zero has no sign to flip. With `spectra`, of each array with two or more axes, taken as a matrix of all
    axes but the last by the last: spectral_of/, the largest singular value (), in units of a parameter; rank_of/, exp of
    the entropy of the squared singular values (), and stable_rank_of/, the sum of these over the largest (); and of the
    matrix less that of step 0 change_spectral_of/, change_rank_of/ and change_stable_rank_of/, the ranks NaN at step 0.
  Cost: three passes over the parameters; with `spectra` the eigenvalues of two Gram matrices of the smaller side a matrix; no
    memory.
  Oracle: numpy in float64 on singular values, entry by entry for signs.
  Source: 2002.10365 (signs); Roy and Vetterli 2007 (rank).
  """

  def read(view, key):
    now, start = trees.by_path(view.variables['params']), trees.by_path(view.anchor['params'])
    flips = {path: jnp.maximum(-jnp.sign(w) * jnp.sign(start[path]), 0).astype(jnp.float32) for path, w in now.items()}
    out = {
      'flipped': sum(jnp.sum(f) for f in flips.values()) / trees.size(now),
      'flipped_of': {path: jnp.mean(f) for path, f in flips.items()},
    }
    if spectra:
      matrices = {path: w for path, w in now.items() if w.ndim > 1}
      of = {path: _spectrum(w) for path, w in matrices.items()}
      change = {path: _spectrum(w - start[path]) for path, w in matrices.items()}
      for name in ('spectral', 'rank', 'stable_rank'):
        out[f'{name}_of'] = {path: values[name] for path, values in of.items()}
        out[f'change_{name}_of'] = {path: values[name] for path, values in change.items()}
    return out

  return stateless(read)


def _spectrum(w: Array) -> dict[str, Array]:
  w = trees.at_least_float32(w).reshape(-1, w.shape[-1])
  gram = w @ w.T if w.shape[0] < w.shape[1] else w.T @ w
  ranks = spectrum.rank(gram, positive=True)
  return {'spectral': jnp.sqrt(spectrum.eigenvalues(gram, positive=True)[0]), 'rank': ranks.entropy, 'stable_rank': ranks.stable}
