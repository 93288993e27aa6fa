"""What the hidden features could answer, were the output layer fitted alone: least squares, without training."""

import jax
import jax.numpy as jnp

from dynamics.components import component
from dynamics.linalg import dense
from dynamics.probes.evaluation import first, with_features
from dynamics.schema import Range
from dynamics.types import Array, Probe


@component(needs=('hidden_layers',))
def random_features(*, examples: Range(int, least=1) = 1024, ridge: Range(float, above=0.0, most=1.0) = 1e-8) -> Probe:
  """The output layer c that minimises |F c - y|^2 + `ridge` s^2 |c|^2 on the first `examples` (n) training examples.

  F (n, h) are the features of the last hidden layer, s its largest singular value, and y (n, k) the targets, one-hot where they
  are labels. No constant is fitted. Errors are relative, so that the answer 0 has error 1; the test examples are as many as there
  are, up to n. NaN where all features are 0. Below ridge 1e-12, float32 no longer tells small singular values from rounding.

  Reading:
    train_error, test_error (): |F c - y| / |y|.
    norm (): |c|, over all units and outputs.
    freedom (): sum_i s_i^2 / (s_i^2 + ridge s^2): how many directions of the features the fit uses.
  Cost: a forward pass on 2 n examples and a singular value decomposition of (n, h); no state.
  Oracle: numpy's lstsq in float64 on features and the root of the ridge below them.
  Source: 2008.08427 (random features with least squares).
  """

  def measure(view, state, key):
    train, test = first(view.data.train, examples), first(view.data.test, examples)
    (f, y), (f_test, y_test) = (_features_and_targets(view, batch) for batch in (train, test))
    u, s, vt = dense.svd(f)
    level = ridge * s[0] ** 2
    c = vt.T @ ((s / (s**2 + level))[:, None] * (u.T @ y))
    error = lambda f, y: jnp.linalg.norm(f @ c - y) / jnp.linalg.norm(y)
    reading = {
      'train_error': error(f, y),
      'test_error': error(f_test, y_test),
      'norm': jnp.linalg.norm(c),
      'freedom': jnp.sum(s**2 / (s**2 + level)),
    }
    return reading, state

  def init(view):
    jax.eval_shape(lambda: measure(view, (), None)[0])  # which refuses what cannot be read
    return ()

  return Probe(init, measure)


def _features_and_targets(view, batch) -> tuple[Array, Array]:
  """(n, h) and (n, k)."""
  outputs, features = with_features(view, view.variables, batch.x)
  if outputs.ndim != 2:
    raise ValueError(f'random_features needs one answer an example, outputs (n, k), but they are {outputs.shape}')
  h = list(features.values())[-1].reshape(outputs.shape[0], -1)
  y = batch.y if batch.y.ndim == 2 else jax.nn.one_hot(batch.y, outputs.shape[1], dtype=h.dtype)
  return h, y.astype(h.dtype)
