"""Copies of an eigenvalue: all of them, or `converged` is False."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics.linalg import copies, eigen, quadrature

slow = pytest.mark.slow
draw = np.random.default_rng(3)
DISTINCT = np.array([10, 9, 8.5, 7, 6, 5, 4, 2, 1, 0.5, 0, -3.0])
TENFOLD = np.repeat(DISTINCT, 10)
NEARLY = TENFOLD - 1e-6 * np.tile(np.arange(10), 12)  # closer than the tolerance tells
KEYS = jax.random.split(jax.random.key(1), 20)


def rotated(values):
  q = np.linalg.qr(draw.normal(size=(len(values), len(values))))[0]
  return (q * values) @ q.T


@functools.partial(jax.jit, static_argnames=('k', 'which', 'limit'))
def of_keys(matrix, k, which='top', limit=1000):
  """Eigenpairs from each of the keys."""
  solve = lambda key: eigen.eigsh(lambda v: matrix @ v, matrix[0], k, key, which=which, products=limit)
  return jax.vmap(solve)(KEYS)


def ends(values, k, which):
  ascending = np.sort(values)
  return {'top': ascending[::-1][:k], 'bottom': ascending[:k]}[which]


CASES = [
  (5, 'top', np.float64),
  (10, 'top', np.float64),
  (20, 'top', np.float64),
  (20, 'top', np.float32),
  (20, 'bottom', np.float32),
]


@pytest.mark.parametrize(
  ('k', 'which', 'dtype'), [pytest.param(*case, marks=() if case == (20, 'top', np.float32) else slow) for case in CASES]
)
def test_every_copy_from_every_key(wide, k, which, dtype):
  for values in (TENFOLD, NEARLY):
    pairs = jax.device_get(of_keys(jnp.asarray(rotated(values), dtype), k, which))
    assert pairs.converged.all()
    tolerance = 2e-5 if dtype == np.float64 else 2e-4  # the residuals allow 1e-3
    np.testing.assert_allclose(pairs.values, np.tile(ends(values, k, which), (20, 1)), atol=tolerance)
    grams = pairs.vectors @ pairs.vectors.transpose(0, 2, 1)
    np.testing.assert_allclose(grams, np.tile(np.eye(k), (20, 1, 1)), atol=1e-4)


def test_too_few_products_for_all_copies_have_not_converged():
  """50 products: enough for residuals, and too few for 20 eigenvectors."""
  pairs = jax.device_get(of_keys(jnp.asarray(rotated(TENFOLD), np.float32), 20, limit=50))
  right = np.all(np.abs(pairs.values - ends(TENFOLD, 20, 'top')) < 1e-3, axis=1)
  assert not right.all()
  assert not np.any(pairs.converged & ~right)
  assert pairs.products.max() < 60


def test_vectors_to_start_from_are_trusted_or_checked_again(wide):
  """They lack one of two copies of 10: the next value takes its place."""
  values = np.concatenate([[10, 10, 8, 7], draw.uniform(-1, 1, 116)])
  q = np.linalg.qr(draw.normal(size=(120, 120)))[0]
  matrix, lacking = jnp.asarray((q * values) @ q.T), jnp.asarray(q[:, [0, 2]].T)

  @functools.partial(jax.jit, static_argnames='recheck')
  def solve(start, recheck):
    return eigen.eigsh(lambda v: matrix @ v, matrix[0], 2, jax.random.key(0), start=start, recheck=recheck)

  trusted, checked = (jax.device_get(solve(lacking, recheck)) for recheck in (False, True))
  assert trusted.products == 2
  np.testing.assert_allclose(checked.values, [10, 10], atol=1e-6)
  assert checked.converged
  again = solve(checked.vectors, True)
  assert again.converged
  assert again.products == 2  # a further copy of the last value would change nothing


@pytest.mark.slow
def test_where_nothing_is_missing_the_look_costs_less_than_early_looks_at_residuals_save(wide):
  """Ten outliers of a bulk, as a network has. Before copies were looked for the medians were 23 and 41 products."""
  values = np.concatenate([draw.normal(size=600) * 0.2, np.geomspace(1, 10, 10)])
  for k, which, before in ((5, 'top', 23), ((2, 1), 'both', 41)):
    pairs = jax.device_get(of_keys(jnp.asarray(np.diag(values), np.float32), k, which))
    assert pairs.converged.all()
    assert np.median(pairs.products) <= 1.2 * before
    if which == 'both':
      np.testing.assert_allclose(pairs.values, np.tile([*ends(values, 2, 'top'), values.min()], (20, 1)), atol=1e-4)


# ---- the bound --------------------------------------------------------------------------------------------------


def test_the_bound_on_a_weight_above_the_nodes_is_the_one_of_the_moments(wide):
  """1 / sum p_i(x)^2 is the least possible integral of q^2 over q(x)^2: by least squares, and at least the true weight."""
  points, weights = np.append(np.linspace(-1, 1, 30), 2.0), np.append(np.full(30, 1 / 30), 1e-7)
  weights = weights / weights.sum()
  level = copies.Levels(jnp.array([1.0, -1.0]), jnp.array([2.0, 3.0]), jnp.array([True, True]))
  verdict, w, before, beta = copies.undecided(level), np.sqrt(weights), np.zeros(31), 0.0
  for steps in range(1, 7):
    alpha = w @ (points * w)
    rest = points * w - alpha * w - beta * before
    before, beta = w, np.linalg.norm(rest)
    w = rest / beta
    verdict = copies.after(verdict, level, jnp.float64(alpha), jnp.float64(beta))
    assert not copies.missing(verdict, level)
    for x, squares in ((2.0, verdict.squares[0]), (-3.0, verdict.squares[1])):
      powers = np.sqrt(weights)[:, None] * (points[:, None] - x) ** np.arange(steps + 1)
      least = np.sum((powers[:, 0] - powers[:, 1:] @ np.linalg.lstsq(powers[:, 1:], powers[:, 0])[0]) ** 2)
      np.testing.assert_allclose(1 / squares, least, rtol=1e-5)
    assert 1 / verdict.squares[0] > weights[-1]
  low = copies.Levels(jnp.ones(1), jnp.array([0.9]), jnp.array([True]))
  verdict = copies.after(copies.undecided(low), low, jnp.float64(1.0), jnp.float64(0.1))
  assert copies.missing(verdict, low)


def test_levels_lie_between_what_differs_and_spare_what_is_no_eigenvector(wide):
  values, residuals = jnp.array([5.0, 4, 4, -3, -2, 3.9, -1]), jnp.array([0, 0, 0, 0, 0, 0.5, 0.01])
  level, deflated = copies.levels(values, residuals, 3, 2, jnp.float64(1e-3))
  np.testing.assert_allclose(level.values, [4.75, 2.75], atol=1e-3)
  np.testing.assert_array_equal(level.needed, [True, True])
  np.testing.assert_array_equal(deflated, [True] * 5 + [False, True])
  level, _ = copies.levels(values[1:3], residuals[1:3], 2, 0, jnp.float64(1e-3))
  assert not level.needed[0]


# ---- weights ----------------------------------------------------------------------------------------------------


def test_shared_weights_are_those_of_the_vectors_of_the_first_rule(wide):
  """Where eigenvalues are distinct, each vector's weights are its squared cosines with the eigenvectors of the first."""
  matrix = jnp.asarray(rotated(np.concatenate([draw.uniform(-1, 1, 60), [5, 6, 8]])))
  slq = lambda layout: quadrature.slq(
    lambda v: matrix @ v, matrix[0], jax.random.key(2), steps=25, vectors=3, leading=3, layout=layout
  )
  rules = jax.device_get(jax.jit(lambda: {layout: slq(layout) for layout in ('vmap', 'map')})())
  np.testing.assert_allclose(rules['map'].shared, rules['map'].weights[:, -3:], rtol=1e-6)
  chex.assert_trees_all_close(rules['map'], rules['vmap'], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
  ('call', 'sentence'),
  [
    (lambda: eigen.eigsh(lambda v: v, jnp.ones(9), (2, 1), jax.random.key(0)), r'k is \(2, 1\), for two ends'),
    (lambda: eigen.eigsh(lambda v: v, jnp.ones(9), (2, 0), jax.random.key(0), which='both'), 'can be 1 to 9'),
  ],
)
def test_mistakes_are_sentences(call, sentence):
  with pytest.raises(ValueError, match=sentence):
    call()
