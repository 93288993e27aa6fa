"""The fitted output layer against numpy's lstsq."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import probes
from dynamics.types import Batch

rng = np.random.default_rng(7)
N, D, K = 9, 3, 2


def apply(variables, x):
  h = jnp.tanh(x @ variables['params']['a'])
  return h @ variables['params']['v'], {'first': jnp.zeros((x.shape[0], 4)), 'last': h}


def expected(a, train, test, ridge):
  """Ridge regression as least squares with sqrt(ridge) s times the identity below the features."""
  f, g = (np.tanh(x @ a) for x, _ in (train, test))
  s, h = np.linalg.norm(f, 2), a.shape[1]
  c = np.linalg.lstsq(np.vstack([f, ridge**0.5 * s * np.eye(h)]), np.vstack([train[1], np.zeros((h, K))]), rcond=None)[0]
  error = lambda f, y: np.linalg.norm(f @ c - y) / np.linalg.norm(y)
  freedom = np.trace(f @ np.linalg.solve(f.T @ f + ridge * s**2 * np.eye(h), f.T))
  return dict(train_error=error(f, train[1]), test_error=error(g, test[1]), norm=np.linalg.norm(c), freedom=freedom)


@pytest.mark.parametrize(('dtype', 'width', 'ridge', 'labels'), [('float32', 5, 1e-2, True), ('float64', 14, 1e-6, False)])
def test_the_fit_under_vmap(probing, wide, dtype, width, ridge, labels):
  x = [rng.normal(size=(n, D)) for n in (N + 2, 6)]
  y = [rng.integers(0, K, len(rows)) if labels else rng.normal(size=(len(rows), K)) for rows in x]
  train, test = (Batch(jnp.asarray(rows, dtype), jnp.asarray(of)) for rows, of in zip(x, y, strict=True))
  members = {'a': rng.normal(size=(2, D, width)), 'v': rng.normal(size=(2, width, K))}
  probe = probes.random_features(examples=N, ridge=ridge)
  measure = lambda params: probe.measure(probing.view(apply, params, train, test=test), (), None)[0]
  readings = jax.device_get(jax.jit(jax.vmap(measure))(jax.tree.map(lambda w: jnp.asarray(w, dtype), members)))
  targets = [np.eye(K)[of] if labels else of for of in y]
  for i, a in enumerate(members['a']):
    for name, value in expected(a, (x[0][:N], targets[0][:N]), (x[1], targets[1]), ridge).items():
      np.testing.assert_allclose(readings[name][i], value, rtol=1e-8 if dtype == 'float64' else 1e-4, err_msg=name)


def test_answers_at_positions_are_refused(probing):
  shaped = lambda variables, x: (x[:, None] @ variables['params']['a'], {'h': x})
  examples = Batch(jnp.ones((4, D)), jnp.zeros((4, 1), jnp.int32))
  with pytest.raises(ValueError, match='needs one answer an example'):
    probing.read(probes.random_features(), probing.view(shaped, {'a': jnp.ones((D, K))}, examples))
