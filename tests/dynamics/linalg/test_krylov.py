"""Lanczos, quadrature and eigenpairs against dense decompositions, matfree, and on operators that break them."""

import functools

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest
from matfree import decomp

from dynamics import losses, models
from dynamics.linalg import eigen, products, quadrature
from dynamics.linalg.lanczos import asymmetry, flat, lanczos, orthogonalise
from dynamics.types import Batch


draw = np.random.default_rng(8)
P = 40
ROTATION = np.linalg.qr(draw.normal(size=(P, P)))[0]
BULK = np.concatenate([[-3.0], draw.normal(size=P - 4) * 0.1, [5.0, 7.0, 10.0]])
DENSE = (ROTATION * BULK) @ ROTATION.T
START = draw.normal(size=P)

LIKE = {'a': jax.ShapeDtypeStruct((4, 5), np.float64), 'b': jax.ShapeDtypeStruct((20,), np.float64)}


def tree(v, dtype=np.float64):
  return {'a': jnp.asarray(v[:20], dtype).reshape(4, 5), 'b': jnp.asarray(v[20:], dtype)}


def operator(matrix, dtype=np.float64):
  """On trees, from a dense matrix."""
  matrix = jnp.asarray(matrix, dtype)

  def matvec(t):
    w = matrix @ jnp.concatenate([t['a'].reshape(-1), t['b']])
    return {'a': w[:20].reshape(4, 5), 'b': w[20:]}

  return matvec


def tridiagonal(found):
  betas = np.asarray(found.betas)[:-1]
  return np.diag(np.asarray(found.alphas)) + np.diag(betas, 1) + np.diag(betas, -1)


# ---- the recurrence ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(('dtype', 'tolerance'), [(np.float64, 1e-12), (np.float32, 2e-5)])
@pytest.mark.parametrize('steps', [1, 12, P])
def test_lanczos_satisfies_its_definition(wide, dtype, tolerance, steps):
  """A Q^T = Q^T T + beta q e^T, Q orthonormal, and at full depth the eigenvalues of A."""
  found = jax.jit(lambda v: lanczos(operator(DENSE, dtype), v, steps))(tree(START, dtype))
  q, t = np.asarray(found.basis, np.float64), tridiagonal(found)
  assert found.basis.dtype == dtype
  assert found.basis.shape == (steps, P)
  assert found.rank == steps
  np.testing.assert_allclose(q @ q.T, np.eye(steps), atol=tolerance)
  np.testing.assert_allclose(found.orthogonality, np.abs(q @ q.T - np.eye(steps)).max(), atol=tolerance / 20)
  np.testing.assert_allclose(q[0], START / np.linalg.norm(START), atol=tolerance)
  left = DENSE @ q.T - q.T @ t
  np.testing.assert_allclose(left[:, :-1], 0, atol=10 * tolerance)
  np.testing.assert_allclose(np.linalg.norm(left[:, -1]), found.betas[-1], atol=10 * tolerance)
  if steps == P:
    np.testing.assert_allclose(np.linalg.eigvalsh(t), np.sort(BULK), atol=10 * tolerance)


def test_lanczos_is_that_of_matfree(wide):
  found = jax.jit(lambda v: lanczos(operator(DENSE), v, 15))(tree(START))
  matrix = jnp.asarray(DENSE)
  with jax.numpy_rank_promotion('allow'), jax.numpy_dtype_promotion('standard'):
    theirs = decomp.tridiag_sym(15, reortho='full', materialize=True)(lambda v: matrix @ v, jnp.asarray(START))
  np.testing.assert_allclose(tridiagonal(found), theirs.J_small, atol=1e-10)
  np.testing.assert_allclose(np.abs(found.basis), np.abs(theirs.Q_tall), atol=1e-9)


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
  found = jax.jit(lambda v: lanczos(operator(matrix, dtype), v, 12))(tree(START, dtype))
  assert all(np.all(np.isfinite(x)) for x in found)
  assert found.rank == rank
  assert found.orthogonality < 20 * np.finfo(dtype).eps
  assert not np.any(found.alphas[rank:])
  assert not np.any(found.basis[rank:])
  values = np.linalg.eigvalsh(tridiagonal(found)[:rank, :rank])
  true = np.linalg.eigvalsh(matrix)
  distance = np.min(np.abs(values[:, None] - true[None]), axis=1)
  np.testing.assert_allclose(distance, 0, atol=50 * np.finfo(dtype).eps * np.abs(true).max())


@pytest.mark.parametrize('dtype', [np.float64, np.float32])
def test_amplified_rounding_weighs_nothing(wide, dtype):
  """Eigenvalues 0, 1 and 1000: the space ends after three steps, but the second beta is small and rounding may go on."""
  matrix = PROJECTION + 1e3 * ROTATION[:, 7:9] @ ROTATION[:, 7:9].T
  found = jax.jit(lambda v: lanczos(operator(matrix, dtype), v, 12))(tree(START, dtype))
  nodes, weights = quadrature.gauss(found.alphas, found.betas)
  assert 3 <= found.rank <= 12
  for q in (0, 1, 2):
    true = START @ np.linalg.matrix_power(matrix, q) @ START / (START @ START)
    np.testing.assert_allclose(np.sum(weights * nodes**q), true, rtol=100 * np.finfo(dtype).eps)
  assert found.orthogonality < 20 * np.finfo(dtype).eps


def test_a_zero_vector_has_no_space_and_nan_stays_nan(wide):
  found = lanczos(operator(DENSE), tree(0 * START), 4)
  assert found.rank == 0
  assert not np.any(np.concatenate([np.ravel(x) for x in found]))
  assert np.isnan(lanczos(operator(DENSE * np.nan), tree(START), 4).alphas[0])


def test_orthogonality_holds_where_the_plain_recurrence_loses_it():
  """float32, 60 steps on a matrix whose outliers converge at once: without a pass over the basis they come back."""
  n = 300
  values = np.concatenate([np.logspace(-3, 0, n - 5), [50, 80, 100, 200, 500]])
  q = np.linalg.qr(draw.normal(size=(n, n)))[0]
  matrix = jnp.asarray((q * values) @ q.T, jnp.float32)
  found = jax.jit(lambda v: lanczos(lambda x: matrix @ x, v, 60))(jnp.asarray(draw.normal(size=n), jnp.float32))
  assert found.orthogonality < 3e-6
  top = np.sort(np.linalg.eigvalsh(tridiagonal(found).astype(np.float64)))[-6:]
  np.testing.assert_allclose(top[1:], values[-5:], rtol=2e-6)
  assert top[0] < 1.01


def test_a_second_pass_where_the_first_cancels(wide):
  basis = jnp.asarray(ROTATION[:, :6].T, np.float32)
  w = basis[2] * 1e4 + jnp.asarray(ROTATION[:, 9], np.float32)
  left = orthogonalise(w, basis, 2, 3)
  np.testing.assert_allclose(basis @ left, 0, atol=1e-6)
  np.testing.assert_allclose(left, ROTATION[:, 9], atol=2e-3)  # w itself holds it to no more than that


def test_members_are_those_one_by_one(wide):
  scale = jnp.asarray([1.0, 0.0, -2.0])  # the second breaks down, the others do not
  made = lambda s: lanczos(lambda t: jax.tree.map(lambda x: s * x, operator(DENSE)(t)), tree(START), 9)
  found = jax.jit(jax.vmap(made))(scale)
  np.testing.assert_array_equal(found.rank, [9, 1, 9])
  for i in range(3):
    jax.tree.map(lambda a, b, i=i: np.testing.assert_allclose(a[i], b, atol=1e-9), found, made(scale[i]))


def test_one_product_a_step():
  """Read off the program: the loop's body holds the operator once."""
  text = str(jax.make_jaxpr(lambda v: lanczos(lambda x: jnp.sin(x), v, 5))(jnp.ones(9)))
  assert text.count(' sin ') == 1


def test_asymmetry_is_measured(wide):
  key = jax.random.key(2)
  assert asymmetry(operator(DENSE), LIKE, key) < 1e-15
  skew = asymmetry(operator(DENSE + 1e-3 * np.triu(np.ones((P, P)))), LIKE, key)
  assert 1e-6 < skew < 1e-1
  assert asymmetry(operator(0 * DENSE), LIKE, key) == 0


# ---- quadrature -------------------------------------------------------------------------------------------------


def test_quadrature_against_the_dense_spectrum(wide):
  """At full depth moments differ from the true ones by the probe vectors alone, so by a few standard errors."""
  found = jax.jit(lambda key: quadrature.slq(operator(DENSE), LIKE, key, steps=20, vectors=60))(jax.random.key(1))
  np.testing.assert_allclose(np.sum(found.weights, axis=1), 1)
  assert np.all(found.rank == 20)
  for estimate, true in (
    (quadrature.trace(found), BULK.sum()),
    (quadrature.function(found, jnp.exp), np.exp(BULK).sum()),
    (quadrature.moments(found, (1, 2, 3)), [np.mean(BULK**q) for q in (1, 2, 3)]),
    (quadrature.density(found, [0.0, 5.0, 10.0], 1.0), kernel_density([0.0, 5.0, 10.0], 1.0)),
  ):
    z = (np.asarray(estimate.mean) - true) / np.asarray(estimate.error)
    assert np.all(np.abs(z) < 4), z
    assert np.all(estimate.error > 0)
  # The standard error of a trace by signs: 2 sum of squares off the diagonal, over the vectors.
  expected = np.sqrt(2 * (np.sum(DENSE**2) - np.sum(np.diag(DENSE) ** 2)) / 60)
  assert 0.7 < quadrature.trace(found).error / expected < 1.3


def kernel_density(grid, sigma):
  z = (np.asarray(grid)[:, None] - BULK[None]) / sigma
  return np.mean(np.exp(-(z**2) / 2), axis=1) / sigma / np.sqrt(2 * np.pi)


def test_moments_up_to_the_order_of_the_rule_are_those_of_the_vectors(wide):
  found = quadrature.slq(operator(DENSE), LIKE, jax.random.key(4), steps=3, vectors=2)
  signs = jnp.stack([jax.random.rademacher(k, (P,), np.float64) for k in jax.random.split(jax.random.key(4), 2)])
  for q in range(6):
    true = [v @ np.linalg.matrix_power(DENSE, q) @ v / P for v in np.asarray(signs)]
    np.testing.assert_allclose(np.sum(found.weights * found.nodes**q, axis=1), true, rtol=1e-10)


def test_layouts_agree_and_breakdown_keeps_the_weights(wide):
  slq = lambda matrix, layout: quadrature.slq(operator(matrix), LIKE, jax.random.key(0), steps=6, vectors=3, layout=layout)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-10), slq(DENSE, 'vmap'), slq(DENSE, 'map'))
  for matrix, trace in ((np.eye(P), P), (0 * DENSE, 0)):
    found = slq(matrix, 'auto')
    assert np.all(found.rank == 1)
    np.testing.assert_allclose(np.sum(found.weights, axis=1), 1, rtol=1e-12)
    np.testing.assert_allclose(quadrature.trace(found).mean, trace, atol=1e-12)


# ---- eigenpairs -------------------------------------------------------------------------------------------------


def check_pairs(found, matrix, true, tolerance=1e-6):
  np.testing.assert_allclose(found.values, true, atol=tolerance)
  v = np.concatenate([np.asarray(x).reshape(len(true), -1) for x in jax.tree.leaves(found.vectors)], axis=1)
  np.testing.assert_allclose(v @ v.T, np.eye(len(true)), atol=10 * tolerance)
  left = np.linalg.norm(v @ matrix - np.asarray(found.values)[:, None] * v, axis=1)
  np.testing.assert_allclose(found.residuals, left, atol=tolerance)
  assert found.converged


@pytest.mark.parametrize(
  ('which', 'k'), [('top', 1), ('top', 3), ('bottom', 1), ('both', 1), ('both', 2), ('top', P), ('bottom', P)]
)
def test_eigenpairs(wide, which, k):
  solve = lambda key: eigen.eigsh(operator(DENSE), LIKE, k, key, which=which, tolerance=1e-9)
  values = np.sort(BULK)
  true = {'top': values[::-1][:k], 'bottom': values[:k], 'both': np.concatenate([values[::-1][:k], values[:k]])}[which]
  check_pairs(jax.jit(solve)(jax.random.key(0)), DENSE, true)


@pytest.mark.parametrize('which', ['top', 'both'])
def test_eigenvalues_that_repeat(wide, which):
  """The Krylov space of one vector holds one vector of an eigenspace; the others need new directions."""
  n = 200
  q = np.linalg.qr(draw.normal(size=(n, n)))[0]
  values = np.concatenate([[4, 4, 4, -2, -2], np.ones(n - 5)])
  matrix = jnp.asarray((q * values) @ q.T)
  solve = lambda key: eigen.eigsh(lambda v: matrix @ v, jnp.ones(n), 2, key, which=which, tolerance=1e-8)
  check_pairs(jax.jit(solve)(jax.random.key(0)), np.asarray(matrix), {'top': [4, 4], 'both': [4, 4, -2, -2]}[which])


@pytest.mark.parametrize('matrix', [np.eye(P), np.zeros((P, P)), rank_one()], ids=['identity', 'zero', 'rank one'])
def test_eigenpairs_of_operators_that_break_down(wide, matrix):
  found = eigen.eigsh(operator(matrix, np.float32), tree(START, np.float32), 2, jax.random.key(0), columns=8)
  true = np.linalg.eigvalsh(matrix)[::-1][:2]
  np.testing.assert_allclose(found.values, true, atol=3e-6)
  np.testing.assert_allclose(found.residuals, 0, atol=3e-6)
  assert found.converged


def test_a_warm_start_needs_fewer_products(wide):
  n = 400
  q = np.linalg.qr(draw.normal(size=(n, n)))[0]
  values = np.concatenate([draw.normal(size=n - 3), [4, 4.5, 6]])
  matrix = (q * values) @ q.T
  near = matrix + 1e-4 * draw.normal(size=(n, n))
  near = (near + near.T) / 2
  solve = jax.jit(lambda m, start: eigen.eigsh(lambda v: m @ v, jnp.ones(n), 3, jax.random.key(0), start=start, tolerance=1e-3))
  cold = solve(jnp.asarray(matrix), jnp.zeros((3, n)))
  again, moved = (solve(jnp.asarray(m), cold.vectors) for m in (matrix, near))
  assert again.products == 3
  assert moved.products < cold.products
  check_pairs(moved, near, np.linalg.eigvalsh(near)[::-1][:3], 1e-2)
  cold_near = eigen.eigsh(lambda v: jnp.asarray(near) @ v, jnp.ones(n), 3, jax.random.key(0), tolerance=1e-8)
  check_pairs(cold_near, near, np.linalg.eigvalsh(near)[::-1][:3], 1e-6)


def test_eigenpairs_of_members_and_of_what_does_not_converge(wide):
  n = 100
  q = np.linalg.qr(draw.normal(size=(n, n)))[0]
  bases = jnp.asarray(np.stack([(q * v) @ q.T for v in (np.arange(n), np.ones(n), draw.normal(size=n), np.nan * np.ones(n))]))
  solve = lambda m: eigen.eigsh(lambda v: m @ v, jnp.ones(n), 2, jax.random.key(0), which='both', columns=12, tolerance=1e-7)
  found = jax.jit(jax.vmap(solve))(bases)
  for i in range(3):
    np.testing.assert_allclose(found.values[i], solve(bases[i]).values, atol=1e-6)
    check = np.linalg.eigvalsh(bases[i])
    np.testing.assert_allclose(found.values[i], [*check[::-1][:2], *check[:2]], atol=1e-6)
  np.testing.assert_array_equal(found.converged, [True, True, True, False])
  short = eigen.eigsh(lambda v: bases[2] @ v, jnp.ones(n), 2, jax.random.key(0), columns=4, products=8, tolerance=1e-12)
  assert not short.converged
  assert short.products < 12
  assert np.all(short.residuals > 0)


# ---- on networks ------------------------------------------------------------------------------------------------


@functools.cache
def network(name):
  """float32: (matvec's loss, params) of a network, with the dense Hessian in float64."""
  rng = np.random.default_rng(0)
  if name == 'mlp':
    module, x = models.mlp(widths=(16, 16), activation='tanh', outputs=4), rng.normal(size=(50, 8)).astype(np.float32)
  else:
    module = models.transformer(width=8, heads=2, expansion=2, activation='gelu', norm='none', outputs=4, vocabulary=6)
    x = rng.integers(0, 6, size=(30, 2)).astype(np.int32)
  y = rng.integers(0, 4, size=len(x)).astype(np.int32)
  params = jax.device_get(module.init(jax.random.key(0), jnp.asarray(x))['params'])
  with jax.enable_x64(True):
    loss = losses.cross_entropy(dtype='float64')
    wide_params = jax.tree.map(lambda w: jnp.asarray(w, np.float64), params)
    wide_x = jnp.asarray(x.astype(np.float64) if name == 'mlp' else x)
    vector, back = jax.flatten_util.ravel_pytree(wide_params)
    total = lambda w: losses.mean(loss(module.apply({'params': back(w)}, wide_x), jnp.asarray(y)))
    hessian = np.asarray(jax.jit(jax.hessian(total))(vector))
  apply = lambda params, x: module.apply({'params': params}, x)
  return apply, jax.tree.map(jnp.asarray, params), Batch(jnp.asarray(x), jnp.asarray(y)), hessian


@pytest.mark.parametrize('name', ['mlp', 'transformer'])
def test_extreme_eigenvalues_of_networks_in_float32(name):
  apply, params, batch, hessian = network(name)
  true = np.linalg.eigvalsh(hessian)

  @jax.jit
  def spectrum(params):
    matvec = products.loss_hessian(apply, losses.cross_entropy(), params, batch)
    pairs = eigen.eigsh(matvec, params, 3, jax.random.key(0), which='both')
    return pairs, lanczos(matvec, params, 50), quadrature.slq(matvec, params, jax.random.key(1), steps=30, vectors=8)

  pairs, space, found = spectrum(params)
  assert pairs.converged
  np.testing.assert_allclose(pairs.values[0], true[-1], rtol=1e-5)
  np.testing.assert_allclose(pairs.values, [*true[::-1][:3], *true[:3]], atol=1e-5 * true[-1])
  np.testing.assert_allclose(np.linalg.eigvalsh(tridiagonal(space))[-1], true[-1], rtol=1e-5)
  assert space.orthogonality < 1e-5
  for q, true_moment in ((1, true.mean()), (2, np.mean(true**2))):
    estimate = quadrature.moments(found, (q,))
    assert abs(estimate.mean[0] - true_moment) < 4 * estimate.error[0]


@pytest.mark.parametrize(
  ('call', 'sentence'),
  [
    (lambda: lanczos(lambda v: v, jnp.ones(3), 4), '4 steps were asked for in 3 dimensions; there can be at most 3'),
    (lambda: lanczos(lambda v: v, jnp.ones(3), 0), '0 steps were asked for; at least 1 is needed'),
    (lambda: lanczos(lambda v: v, jnp.ones(3, jnp.int32), 1), 'vectors are of floats, but a leaf is int32'),
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
