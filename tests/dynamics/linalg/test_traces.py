"""Estimates of traces and diagonals against dense ones, within the standard errors that they give."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics.linalg import traces

P = 30
draw = np.random.default_rng(4)
Q = np.linalg.qr(draw.normal(size=(P, P)))[0]
VALUES = np.concatenate([[30, 20, 10], draw.normal(size=P - 3)])
DENSE = (Q * VALUES) @ Q.T
LIKE = {'a': jax.ShapeDtypeStruct((2, 5), np.float64), 'b': jax.ShapeDtypeStruct((20,), np.float64)}


def matvec(t):
  w = jnp.asarray(DENSE) @ jnp.concatenate([t['a'].reshape(-1), t['b']])
  return {'a': w[:10].reshape(2, 5), 'b': w[10:]}


@pytest.mark.parametrize(('estimator', 'vectors'), [(traces.hutchinson, 40), (traces.hutchpp, 45)])
def test_traces_lie_within_their_errors(wide, estimator, vectors):
  """Over many keys: the mean is right, and the errors told are those found."""
  keys = jax.random.split(jax.random.key(0), 200)
  estimate = jax.jit(jax.vmap(lambda key: estimator(matvec, LIKE, key, vectors=vectors)))(keys)
  off = np.asarray(estimate.mean) - VALUES.sum()
  assert abs(off.mean()) < 4 * off.std() / 200**0.5
  assert 0.85 < np.sqrt(np.mean(np.asarray(estimate.error) ** 2)) / off.std() < 1.15
  if estimator is traces.hutchinson:
    exact = np.sqrt(2 * (np.sum(DENSE**2) - np.sum(np.diag(DENSE) ** 2)) / vectors)
    np.testing.assert_allclose(off.std(), exact, rtol=0.15)


def test_hutchpp_is_exact_on_low_rank_and_better_where_few_eigenvalues_rule(wide):
  key = jax.random.key(3)
  low, full = jnp.asarray(Q[:, :3] @ Q[:, :3].T), jnp.asarray(DENSE)
  solve = jax.jit(lambda matrix: traces.hutchpp(lambda v: matrix @ v, jnp.ones(P), key, vectors=45))
  np.testing.assert_allclose(solve(low).mean, 3, rtol=1e-12)
  plain = jax.jit(lambda key: traces.hutchinson(matvec, LIKE, key, vectors=45))(key).error
  better = solve(full).error
  assert better < plain / 3


def test_diagonals_lie_within_their_errors(wide):
  estimate = jax.jit(lambda key: traces.diagonal(matvec, LIKE, key, vectors=300))(jax.random.key(1))
  mean, error = (np.concatenate([np.ravel(t['a']), t['b']]) for t in estimate)
  z = (mean - np.diag(DENSE)) / error
  assert np.abs(z).max() < 4
  assert 0.7 < z.std() < 1.3
  exact = np.sqrt((np.sum(DENSE**2, axis=1) - np.diag(DENSE) ** 2) / 300)
  np.testing.assert_allclose(error, exact, rtol=0.2)
  # Signs see a diagonal matrix without any error.
  scale = np.arange(1.0, P + 1)
  exactly = jax.jit(lambda key: traces.diagonal(lambda v: scale * v, jnp.ones(P), key, vectors=2))(jax.random.key(0))
  np.testing.assert_allclose(exactly.mean, scale)
  np.testing.assert_allclose(exactly.error, 0)


def test_one_vector_has_no_error(wide):
  for estimator in (traces.hutchinson, traces.diagonal):
    measure = jax.jit(functools.partial(estimator, matvec, LIKE, vectors=1))
    estimate = jax.device_get(measure(jax.random.key(0)))
    assert all(np.all(np.isnan(x)) for x in jax.tree.leaves(estimate.error))
    chex.assert_tree_all_finite(estimate.mean)


@pytest.mark.parametrize(
  ('call', 'sentence'),
  [
    (lambda: traces.hutchinson(matvec, LIKE, jax.random.key(0), vectors=0), '0 vectors were asked for; at least 1 is needed'),
    (lambda: traces.hutchpp(matvec, LIKE, jax.random.key(0), vectors=5), 'hutchpp takes 6 products or more'),
    (lambda: traces.hutchpp(matvec, LIKE, jax.random.key(0), vectors=300), 'a third of them at most 30, the dimension; not 300'),
  ],
)
def test_mistakes_are_sentences(call, sentence):
  with pytest.raises(ValueError, match=sentence):
    call()
