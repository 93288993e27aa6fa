"""Lanczos, quadrature and eigenpairs against dense decompositions, matfree, and on operators that break them."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matfree import decomp

from dynamics.linalg import eigen, quadrature
from dynamics.linalg.lanczos import asymmetry, flat, lanczos, orthogonalise

draw = np.random.default_rng(8)
P = 40
ROTATION = np.linalg.qr(draw.normal(size=(P, P)))[0]
BULK = np.concatenate([[-3.0], draw.normal(size=P - 4) * 0.1, [5.0, 7.0, 10.0]])
DENSE = (ROTATION * BULK) @ ROTATION.T
START = draw.normal(size=P)

LIKE = {'a': jax.ShapeDtypeStruct((4, 5), np.float64), 'b': jax.ShapeDtypeStruct((20,), np.float64)}


def tree(v, dtype=np.float64):
  return {'a': v[:20].astype(dtype).reshape(4, 5), 'b': v[20:].astype(dtype)}


def operator(matrix):
  """On trees, from a dense matrix."""

  def matvec(t):
    w = matrix @ jnp.concatenate([t['a'].reshape(-1), t['b']])
    return {'a': w[:20].reshape(4, 5), 'b': w[20:]}

  return matvec


@functools.partial(jax.jit, static_argnames='steps')
def lanczos_of(matrix, v, steps=12):
  """One program for all matrices of a dtype."""
  return lanczos(operator(matrix), v, steps)


def tridiagonal(pairs):
  betas = np.asarray(pairs.betas)[:-1]
  return np.diag(np.asarray(pairs.alphas)) + np.diag(betas, 1) + np.diag(betas, -1)


# ---- the recurrence ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(('dtype', 'tolerance'), [(np.float64, 1e-12), (np.float32, 2e-5)])
@pytest.mark.parametrize('steps', [1, 12, P])
def test_lanczos_satisfies_its_definition(wide, dtype, tolerance, steps):
  """A Q^T = Q^T T + beta q e^T, Q orthonormal, and at full depth the eigenvalues of A."""
  factorisation = lanczos_of(DENSE.astype(dtype), tree(START, dtype), steps)
  q, t = np.asarray(factorisation.basis, np.float64), tridiagonal(factorisation)
  chex.assert_shape(factorisation.basis, (steps, P))
  chex.assert_type(factorisation.basis, dtype)
  assert factorisation.rank == steps
  np.testing.assert_allclose(q @ q.T, np.eye(steps), atol=tolerance)
  np.testing.assert_allclose(factorisation.orthogonality, np.abs(q @ q.T - np.eye(steps)).max(), atol=tolerance / 20)
  np.testing.assert_allclose(q[0], START / np.linalg.norm(START), atol=tolerance)
  remainder = DENSE @ q.T - q.T @ t
  np.testing.assert_allclose(remainder[:, :-1], 0, atol=10 * tolerance)
  np.testing.assert_allclose(np.linalg.norm(remainder[:, -1]), factorisation.betas[-1], atol=10 * tolerance)
  if steps == P:
    np.testing.assert_allclose(np.linalg.eigvalsh(t), np.sort(BULK), atol=10 * tolerance)


def test_lanczos_is_that_of_matfree(wide):
  factorisation = lanczos_of(DENSE, tree(START))
  tridiagonalise = decomp.tridiag_sym(12, reortho='full', materialize=True)
  with jax.numpy_rank_promotion('allow'), jax.numpy_dtype_promotion('standard'):
    theirs = jax.jit(lambda matrix, v: tridiagonalise(lambda v: matrix @ v, v))(DENSE, START)
  np.testing.assert_allclose(tridiagonal(factorisation), theirs.J_small, atol=1e-10)
  np.testing.assert_allclose(np.abs(factorisation.basis), np.abs(theirs.Q_tall), atol=1e-9)


def rank_one():
  u = ROTATION[:, :1]
  return 3.0 * u @ u.T


PROJECTION = ROTATION[:, :7] @ ROTATION[:, :7].T
BREAKDOWNS = {  # matrix, rank of the Krylov space of a random vector
  'identity': (np.eye(P), 1),
  'zero': (np.zeros((P, P)), 1),
  'rank one': (rank_one(), 2),
  'projection': (PROJECTION, 2),
  'three eigenvalues': (PROJECTION + 3 * ROTATION[:, 7:9] @ ROTATION[:, 7:9].T, 3),
  'tiny': (1e-15 * PROJECTION, 2),
}


@pytest.mark.parametrize('dtype', [np.float64, np.float32])
@pytest.mark.parametrize('name', BREAKDOWNS)
def test_breakdown_freezes(wide, name, dtype):
  matrix, rank = BREAKDOWNS[name]
  factorisation = lanczos_of(matrix.astype(dtype), tree(START, dtype))
  chex.assert_tree_all_finite(jax.device_get(factorisation))
  assert factorisation.rank == rank
  assert factorisation.orthogonality < 20 * np.finfo(dtype).eps
  assert not np.any(factorisation.alphas[rank:])
  assert not np.any(factorisation.basis[rank:])
  values = np.linalg.eigvalsh(tridiagonal(factorisation)[:rank, :rank])
  true = np.linalg.eigvalsh(matrix)
  distance = np.min(np.abs(values[:, None] - true[None]), axis=1)
  np.testing.assert_allclose(distance, 0, atol=50 * np.finfo(dtype).eps * np.abs(true).max())


@pytest.mark.parametrize('dtype', [np.float64, np.float32])
def test_amplified_rounding_weighs_nothing(wide, dtype):
  """Eigenvalues 0, 1 and 1000: the space ends after three steps, but the second beta is small and rounding may go on."""
  matrix = PROJECTION + 1e3 * ROTATION[:, 7:9] @ ROTATION[:, 7:9].T
  factorisation = lanczos_of(matrix.astype(dtype), tree(START, dtype))
  nodes, weights = jax.device_get(jax.jit(quadrature.gauss)(factorisation.alphas, factorisation.betas))
  assert 3 <= factorisation.rank <= 12
  for q in (0, 1, 2):
    true = START @ np.linalg.matrix_power(matrix, q) @ START / (START @ START)
    np.testing.assert_allclose(np.sum(weights * nodes**q), true, rtol=100 * np.finfo(dtype).eps)
  assert factorisation.orthogonality < 20 * np.finfo(dtype).eps


def test_a_zero_vector_has_no_space_and_nan_stays_nan(wide):
  factorisation = lanczos_of(DENSE, tree(0 * START))
  assert factorisation.rank == 0
  assert not np.any(np.concatenate([np.ravel(x) for x in factorisation]))
  assert np.isnan(lanczos_of(DENSE * np.nan, tree(START)).alphas[0])


def test_orthogonality_holds_where_the_plain_recurrence_loses_it():
  """float32, 60 steps on a matrix whose outliers converge at once: without a pass over the basis they come back."""
  n = 300
  values = np.concatenate([np.logspace(-3, 0, n - 5), [50, 80, 100, 200, 500]])
  q = np.linalg.qr(draw.normal(size=(n, n)))[0]
  matrix = ((q * values) @ q.T).astype(np.float32)
  factorisation = jax.jit(lambda matrix, v: lanczos(lambda x: matrix @ x, v, 60))(matrix, draw.normal(size=n).astype(np.float32))
  assert factorisation.orthogonality < 3e-6
  top = np.sort(np.linalg.eigvalsh(tridiagonal(factorisation).astype(np.float64)))[-6:]
  np.testing.assert_allclose(top[1:], values[-5:], rtol=2e-6)
  assert top[0] < 1.01


def test_a_second_pass_where_the_first_cancels(wide):
  basis = ROTATION[:, :6].T.astype(np.float32)
  w = basis[2] * np.float32(1e4) + ROTATION[:, 9].astype(np.float32)
  remainder = jax.jit(lambda w, basis: orthogonalise(w, basis, 2, 3))(w, basis)
  np.testing.assert_allclose(basis @ remainder, 0, atol=1e-6)
  np.testing.assert_allclose(remainder, ROTATION[:, 9], atol=2e-3)  # w itself holds it to no more than that


def test_members_are_those_one_by_one(wide):
  matrices = np.stack([DENSE, 0 * DENSE, -2 * DENSE])  # the second breaks down, the others do not
  pairs = jax.jit(jax.vmap(lambda matrix: lanczos_of(matrix, tree(START))))(matrices)
  np.testing.assert_array_equal(pairs.rank, [12, 1, 12])
  members = [jax.device_get(lanczos_of(matrix, tree(START))) for matrix in matrices]
  chex.assert_trees_all_close(jax.device_get(pairs), jax.tree.map(lambda *x: np.stack(x), *members), rtol=1e-7, atol=1e-9)


def test_one_product_a_step():
  """Read off the program: the loop's body holds the operator once."""
  text = str(jax.make_jaxpr(lambda v: lanczos(lambda x: jnp.sin(x), v, 5))(jnp.ones(9)))
  assert text.count(' sin ') == 1


def test_asymmetry_is_measured(wide):
  key = jax.random.key(2)
  measure = jax.jit(lambda matrix: asymmetry(operator(matrix), LIKE, key))
  assert measure(DENSE) < 1e-15
  assert 1e-6 < measure(DENSE + 1e-3 * np.triu(np.ones((P, P)))) < 1e-1
  assert measure(0 * DENSE) == 0


# ---- quadrature -------------------------------------------------------------------------------------------------


def test_quadrature_against_the_dense_spectrum(wide):
  """At full depth moments differ from the true ones by the probe vectors alone, so by a few standard errors."""

  @jax.jit
  def estimates(key):
    spectrum = quadrature.slq(operator(jnp.asarray(DENSE)), LIKE, key, steps=20, vectors=60)
    return spectrum, (
      quadrature.trace(spectrum),
      quadrature.function(spectrum, jnp.exp),
      quadrature.moments(spectrum, (1, 2, 3)),
      quadrature.density(spectrum, [0.0, 5.0, 10.0], 1.0),
    )

  spectrum, readings = jax.device_get(estimates(jax.random.key(1)))
  np.testing.assert_allclose(np.sum(spectrum.weights, axis=1), 1)
  assert np.all(spectrum.rank == 20)
  truths = (BULK.sum(), np.exp(BULK).sum(), [np.mean(BULK**q) for q in (1, 2, 3)], kernel_density([0.0, 5.0, 10.0], 1.0))
  for estimate, true in zip(readings, truths, strict=True):
    z = (estimate.mean - true) / estimate.error
    assert np.all(np.abs(z) < 4), z
    assert np.all(estimate.error > 0)
  # The standard error of a trace by signs: 2 sum of squares off the diagonal, over the vectors.
  expected = np.sqrt(2 * (np.sum(DENSE**2) - np.sum(np.diag(DENSE) ** 2)) / 60)
  assert 0.7 < readings[0].error / expected < 1.3


def kernel_density(grid, sigma):
  z = (np.asarray(grid)[:, None] - BULK[None]) / sigma
  return np.mean(np.exp(-(z**2) / 2), axis=1) / sigma / np.sqrt(2 * np.pi)


def test_moments_up_to_the_order_of_the_rule_are_those_of_the_vectors(wide):

  @jax.jit
  def slq(key):
    signs = jnp.stack([jax.random.rademacher(k, (P,), np.float64) for k in jax.random.split(key, 2)])
    return quadrature.slq(operator(jnp.asarray(DENSE)), LIKE, key, steps=3, vectors=2), signs

  spectrum, signs = jax.device_get(slq(jax.random.key(4)))
  for q in range(6):
    true = [v @ np.linalg.matrix_power(DENSE, q) @ v / P for v in signs]
    np.testing.assert_allclose(np.sum(spectrum.weights * spectrum.nodes**q, axis=1), true, rtol=1e-10)


def test_layouts_agree_and_breakdown_keeps_the_weights(wide):

  @jax.jit
  def slq(matrix):
    choices = dict(steps=6, vectors=3)
    spectrum = {
      layout: quadrature.slq(operator(matrix), LIKE, jax.random.key(0), layout=layout, **choices)
      for layout in ('auto', 'vmap', 'map')
    }
    return spectrum, quadrature.trace(spectrum['auto']).mean

  spectrum, _ = jax.device_get(slq(DENSE))
  chex.assert_trees_all_close(spectrum['vmap'], spectrum['map'], rtol=1e-7, atol=1e-10)
  for matrix, true in ((np.eye(P), P), (0 * DENSE, 0)):
    spectrum, trace = jax.device_get(slq(matrix))
    assert np.all(spectrum['auto'].rank == 1)
    np.testing.assert_allclose(np.sum(spectrum['auto'].weights, axis=1), 1, rtol=1e-12)
    np.testing.assert_allclose(trace, true, atol=1e-12)


# ---- eigenpairs -------------------------------------------------------------------------------------------------


def check_pairs(pairs, matrix, true, tolerance=1e-6):
  np.testing.assert_allclose(pairs.values, true, atol=tolerance)
  v = np.concatenate([np.asarray(x).reshape(len(true), -1) for x in jax.tree.leaves(pairs.vectors)], axis=1)
  np.testing.assert_allclose(v @ v.T, np.eye(len(true)), atol=10 * tolerance)
  remainder = np.linalg.norm(v @ matrix - np.asarray(pairs.values)[:, None] * v, axis=1)
  np.testing.assert_allclose(pairs.residuals, remainder, atol=tolerance)
  assert pairs.converged


@functools.partial(jax.jit, static_argnames=('k', 'which'))
def eigsh(matrix, k, which, tolerance):
  """One program for all matrices."""
  return eigen.eigsh(operator(matrix), LIKE, k, jax.random.key(0), which=which, tolerance=tolerance)


slow = pytest.mark.slow
ENDS = [('top', 1), ('top', 2), ('top', 3), ('top', P), ('bottom', 1), ('bottom', P), ('both', 1), ('both', 2)]
QUICK = [('top', 2), ('top', P), ('bottom', 1), ('both', 2)]


@pytest.mark.parametrize(('which', 'k'), [pytest.param(*end, marks=() if end in QUICK else slow) for end in ENDS])
def test_eigenpairs(wide, which, k):
  values = np.sort(BULK)
  true = {'top': values[::-1][:k], 'bottom': values[:k], 'both': np.concatenate([values[::-1][:k], values[:k]])}[which]
  check_pairs(eigsh(DENSE, k, which, 1e-9), DENSE, true)


@pytest.mark.parametrize('which', ['top', 'both'])
def test_eigenvalues_that_repeat(wide, which):
  """The Krylov space of one vector holds one vector of an eigenspace; the others need new directions."""
  values = np.concatenate([[4, 4, 4, -2, -2], np.ones(P - 5)])
  matrix = (ROTATION * values) @ ROTATION.T
  check_pairs(eigsh(matrix, 2, which, 1e-8), matrix, {'top': [4, 4], 'both': [4, 4, -2, -2]}[which])


@jax.jit
def narrow(matrix):
  return eigen.eigsh(operator(matrix), tree(START, np.float32), 2, jax.random.key(0), columns=8)


@pytest.mark.parametrize('matrix', [np.eye(P), np.zeros((P, P)), rank_one()], ids=['identity', 'zero', 'rank one'])
def test_eigenpairs_of_operators_that_break_down(wide, matrix):
  pairs = narrow(matrix.astype(np.float32))
  true = np.linalg.eigvalsh(matrix)[::-1][:2]
  np.testing.assert_allclose(pairs.values, true, atol=3e-6)
  np.testing.assert_allclose(pairs.residuals, 0, atol=3e-6)
  assert pairs.converged


def test_a_warm_start_needs_fewer_products(wide):
  n = 400
  q = np.linalg.qr(draw.normal(size=(n, n)))[0]
  values = np.concatenate([draw.normal(size=n - 3), [4, 4.5, 6]])
  matrix = (q * values) @ q.T
  near = matrix + 1e-4 * draw.normal(size=(n, n))
  near = (near + near.T) / 2

  @jax.jit
  def solve(matrix, start, tolerance):
    matvec = lambda v: matrix @ v
    return eigen.eigsh(matvec, jnp.ones(n), 3, jax.random.key(0), start=start, tolerance=tolerance)

  cold = solve(matrix, np.zeros((3, n)), 1e-3)
  again, moved = (solve(m, cold.vectors, 1e-3) for m in (matrix, near))
  assert again.products == 3
  assert moved.products < cold.products
  check_pairs(moved, near, np.linalg.eigvalsh(near)[::-1][:3], 1e-2)
  check_pairs(solve(near, np.zeros((3, n)), 1e-8), near, np.linalg.eigvalsh(near)[::-1][:3], 1e-6)


def test_eigenpairs_of_members_and_of_what_does_not_converge(wide):
  spectra = np.arange(P), np.ones(P), draw.normal(size=P), np.nan * np.ones(P)
  matrices = np.stack([(ROTATION * values) @ ROTATION.T for values in spectra])
  pairs = jax.device_get(jax.jit(jax.vmap(lambda matrix: eigsh(matrix, 2, 'both', 1e-9)))(matrices))
  for i in range(3):
    np.testing.assert_allclose(pairs.values[i], eigsh(matrices[i], 2, 'both', 1e-9).values, atol=1e-6)
    true = np.linalg.eigvalsh(matrices[i])
    np.testing.assert_allclose(pairs.values[i], [*true[::-1][:2], *true[:2]], atol=1e-6)
  np.testing.assert_array_equal(pairs.converged, [True, True, True, False])
  few = dict(columns=4, products=8, tolerance=1e-12)
  short = lambda matrix: eigen.eigsh(operator(matrix), LIKE, 2, jax.random.key(0), **few)
  pairs = jax.device_get(jax.jit(short)(matrices[2]))
  assert not pairs.converged
  assert pairs.products < 12
  assert np.all(pairs.residuals > 0)


# ---- mistakes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
  ('call', 'sentence'),
  [
    (lambda: lanczos(lambda v: v, jnp.ones(3), 4), '4 steps were asked for in 3 dimensions; there can be at most 3'),
    (lambda: lanczos(lambda v: v, jnp.ones(3), 0), '0 steps were asked for; at least 1 is needed'),
    (lambda: lanczos(lambda v: v, jnp.ones(3, jnp.int32), 1), 'vectors are of floats, but a leaf is int32'),
    (lambda: lanczos(lambda v: v, {'a': 3.0}, 1), 'a leaf is a Python float: give jnp.asarray'),
    (lambda: flat({}), 'a vector needs entries, but the tree has none'),
    (lambda: quadrature.slq(lambda v: v, jnp.ones(3), jax.random.key(0), steps=9), '9 steps were asked for in 3 dimensions'),
    (lambda: quadrature.slq(lambda v: v, jnp.ones(3), jax.random.key(0), steps=1, vectors=0), '0 vectors were asked for'),
    (lambda: quadrature.slq(lambda v: v, jnp.ones(3), jax.random.key(0), steps=1, layout='pmap'), "layout is 'pmap'; it must"),
    (lambda: eigen.eigsh(lambda v: v, jnp.ones(3), 2, jax.random.key(0), which='both'), '4 eigenvalues were asked for in 3'),
    (lambda: eigen.eigsh(lambda v: v, jnp.ones(3), 1, jax.random.key(0), which='largest'), "which is 'largest'; it must be"),
    (lambda: eigen.eigsh(lambda v: v, jnp.ones(9), 4, jax.random.key(0), columns=4), '4 columns cannot hold 4 eigenvectors'),
  ],
)
def test_mistakes_are_sentences(call, sentence):
  with pytest.raises(ValueError, match=sentence):
    call()
