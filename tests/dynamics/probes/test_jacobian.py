"""The input-output Jacobian against numpy on a network written out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import probes
from dynamics.types import Batch

rng = np.random.default_rng(5)
N, D, H, K = 6, 4, 5, 3
W = {'a': rng.normal(size=(D, H)), 'b': rng.normal(size=H), 'v': rng.normal(size=(H, K))}
X, Y = rng.normal(size=(N, D)), rng.normal(size=(N, K))


def mlp(variables, x):
  w = variables['params']
  h = jnp.tanh(x @ w['a'] + w['b'][None])
  return h @ w['v'], {'hidden': h}


def cast(tree, dtype):
  return jax.tree.map(lambda x: jnp.asarray(x, dtype), tree)


def error(values):
  return np.std(values, ddof=1) / np.sqrt(len(values))


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
def test_input_jacobian_against_the_chain_rule_and_central_differences(probing, wide, dtype):
  examples = Batch(*cast((X, Y), dtype))
  seen = probing.view(mlp, cast(W, dtype), examples)
  out = probing.read(probes.input_jacobian(examples=N), seen)[0]
  f = lambda x: np.tanh(x @ W['a'] + W['b']) @ W['v']
  singular = []
  for x in X:
    slope = 1 - np.tanh(x @ W['a'] + W['b']) ** 2
    jacobian = W['v'].T @ (slope[:, None] * W['a'].T)
    central = np.stack([(f(x + e) - f(x - e)) / 2e-5 for e in 1e-5 * np.eye(D)], axis=1)
    np.testing.assert_allclose(jacobian, central, atol=1e-8)
    singular.append(np.linalg.svd(jacobian, compute_uv=False))
  s, rtol = np.array(singular), 1e-9 if dtype == 'float64' else 2e-4
  share = s**2 / np.sum(s**2, axis=1, keepdims=True)
  np.testing.assert_allclose(out['singular'], s.mean(0), rtol=rtol)
  for name, values in {
    'average': s.mean(1),
    'squared': (s**2).sum(1),
    'stable_rank': (s**2).sum(1) / s[:, 0] ** 2,
    'rank': np.exp(-np.sum(share * np.log(share), axis=1)),
    'log_condition': np.log(s[:, 0] / s[:, -1]),
  }.items():
    np.testing.assert_allclose(out[name], values.mean(), rtol=rtol, err_msg=name)
    np.testing.assert_allclose(out[f'{name}_se'], error(values), rtol=10 * rtol, err_msg=name)
