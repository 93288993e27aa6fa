"""Readings of a kernel against numpy in float64, on kernels whose features are known."""

import jax
import numpy as np
import pytest

from dynamics.linalg import spectrum

rng = np.random.default_rng(7)
N, K = 6, 2
FEATURES, OTHERS, TESTS = (rng.normal(size=(n, K, 20)) for n in (N, N, 4))
Y = rng.normal(size=(N, K))


def kernel(a, b, full):
  """(n, m) or (n, m, k, k) from features (n, k, p)."""
  whole = np.einsum('nkp,mlp->nmkl', a, b)
  return whole if full else np.trace(whole, axis1=2, axis2=3)


def flat(features, full):
  """Rows whose inner products are the kernel's matrix."""
  return features.reshape(-1, features.shape[-1]) if full else features.reshape(features.shape[0], -1)


def read(f, *args, **choices):
  """f(*args) in one program."""
  return jax.device_get(jax.jit(lambda *args: f(*args, **choices))(*args))


def cosine(a, b):
  return np.sum(a * b) / np.linalg.norm(a) / np.linalg.norm(b)


both = pytest.mark.parametrize('full', [False, True])


@both
def test_spectrum(wide, full):
  k = kernel(FEATURES, FEATURES, full)
  values = np.linalg.svd(flat(FEATURES, full), compute_uv=False) ** 2
  eigenvalues, condition, rank = read(lambda k: (spectrum.eigenvalues(k), spectrum.condition(k), spectrum.rank(k)), k)
  np.testing.assert_allclose(eigenvalues, values, rtol=1e-9)
  np.testing.assert_allclose(condition, values[0] / values[-1], rtol=1e-9)
  share = values / values.sum()
  np.testing.assert_allclose(rank.entropy, np.prod(share**-share), rtol=1e-9)
  np.testing.assert_allclose(rank.stable, values.sum() / values[0], rtol=1e-9)


def test_rank_of_projections(wide):
  """r equal eigenvalues have rank r by both measures, and all else is zero."""
  q = np.linalg.qr(rng.normal(size=(N, 3)))[0]
  rank = read(spectrum.rank, q @ q.T)
  np.testing.assert_allclose([rank.entropy, rank.stable], 3, rtol=1e-9)


@both
def test_alignments(wide, full):
  one, two = (kernel(f, f, full) for f in (FEATURES, OTHERS))
  a, b = (flat(f, full) @ flat(f, full).T for f in (FEATURES, OTHERS))

  def readings(one, two):
    centred = (spectrum.alignment(one, two, centred=True), spectrum.distance(one, two, centred=True))
    return spectrum.alignment(one, two), spectrum.distance(one, 3 * one), spectrum.drift(one, two), *centred

  # Centred: of features without their mean over examples; the linear CKA as a ratio of cross-covariances (1905.00414).
  f, g = (flat(x - x.mean(axis=0, keepdims=True), full) for x in (FEATURES, OTHERS))
  size = lambda u, v: np.linalg.norm(u.T @ v)
  cka = size(f, g) ** 2 / size(f, f) / size(g, g)
  true = (cosine(a, b), 0, np.linalg.norm(a - b) / np.linalg.norm(b), cka, 1 - cka)
  np.testing.assert_allclose(read(readings, one, two), true, rtol=1e-9, atol=1e-12)


@both
def test_targets(wide, full):
  k, a = kernel(FEATURES, FEATURES, full), flat(FEATURES, full)
  columns = Y.reshape(-1, 1) if full else Y

  def readings(k, y):
    alone = () if full else (spectrum.target_alignment(k, y[:, 0]),)
    return (spectrum.target_alignment(k, y), spectrum.target_alignment(k, y, centred=True), *alone), spectrum.energy(k, y)

  f, y = FEATURES - FEATURES.mean(axis=0), Y - Y.mean(axis=0)
  centred = cosine(flat(f, full) @ flat(f, full).T, y.reshape(columns.shape) @ y.reshape(columns.shape).T)
  alone = () if full else (cosine(a @ a.T, np.outer(Y[:, 0], Y[:, 0])),)
  left = np.linalg.svd(a)[0][:, : a.shape[0]]
  shares = [np.sum((left[:, :i].T @ columns) ** 2) / np.sum(columns**2) for i in range(1, a.shape[0] + 1)]
  alignments, energy = read(readings, k, Y)
  np.testing.assert_allclose(alignments, (cosine(a @ a.T, columns @ columns.T), centred, *alone), rtol=1e-9)
  np.testing.assert_allclose(energy, shares, rtol=1e-9)
  np.testing.assert_allclose(shares[-1], 1, rtol=1e-9)


@both
@pytest.mark.parametrize('ridge', [0.0, 0.3])
def test_regression_is_that_on_the_features(wide, full, ridge):
  """The kernel's predictions are those of least squares, of least norm or with a penalty, on the features themselves."""
  a, b, y = flat(FEATURES, full), flat(TESTS, full), Y.reshape(-1, 1) if full else Y
  weights = np.linalg.solve(a.T @ a + ridge * np.eye(a.shape[1]), a.T @ y) if ridge else np.linalg.lstsq(a, y)[0]
  args = kernel(FEATURES, FEATURES, full), kernel(TESTS, FEATURES, full), Y
  prediction = read(spectrum.regression, *args, ridge=ridge)
  np.testing.assert_allclose(prediction, (b @ weights).reshape(4, K), rtol=1e-7)
  np.testing.assert_allclose(spectrum.regression(*args, ridge=ridge), prediction, rtol=1e-9)
  if not full:
    np.testing.assert_allclose(read(spectrum.regression, *args[:2], Y[:, 0], ridge=ridge), prediction[:, 0], rtol=1e-9)


def test_a_singular_kernel_is_refused_and_is_nan_where_no_sentence_can_be_said():
  twice = np.concatenate([FEATURES, FEATURES[:1]]).astype(np.float32)  # an example that stands there twice
  k, y = kernel(twice, twice, False), np.ones(N + 1, np.float32)
  with pytest.raises(ValueError, match='kernel of 7 rows is singular to its precision: its smallest eigenvalue with ridge is'):
    spectrum.regression(k, k, y)
  assert np.all(np.isnan(read(spectrum.regression, k, k, y)))
  np.testing.assert_allclose(read(spectrum.regression, k, k, y, ridge=1e-2), y, atol=1e-2)


@pytest.mark.parametrize(
  ('call', 'sentence'),
  [
    (lambda: spectrum.eigenvalues(np.ones((3, 2))), r'examples with themselves is wanted, but this has shape \(3, 2\)'),
    (lambda: spectrum.eigenvalues(np.ones((3, 3, 2))), r'\(n1, n2\) or \(n1, n2, k, k\), but this has shape \(3, 3, 2\)'),
    (lambda: spectrum.alignment(np.eye(3), np.eye(2)), r'shapes \(3, 3\) and \(2, 2\); they must be the same'),
    (lambda: spectrum.energy(np.eye(3), np.ones(2)), r'targets have shape \(2,\), which does not go with'),
    (lambda: spectrum.energy(np.ones((3, 3, 2, 2)), np.ones(3)), r'targets have shape \(3,\), which does not go with'),
    (lambda: spectrum.regression(np.eye(3), np.ones((2, 4)), np.ones(3)), r'\(3, 3\) and the test-train kernel \(2, 4\)'),
    (lambda: spectrum.regression(np.eye(3), np.eye(3), np.arange(3)), r'targets are int64\(3,\), .* jax.nn.one_hot\(y, k\)'),
    (lambda: spectrum.energy(np.eye(3), np.arange(3)), r'targets are int64\(3,\), but must be floats'),
    (lambda: spectrum.target_alignment(np.eye(3), np.arange(3) > 1), r'targets are bool\(3,\), but must be floats'),
    (lambda: spectrum.target_alignment(np.eye(3), np.eye(3, dtype=np.uint8), centred=True), r'targets are uint8\(3, 3\)'),
  ],
)
def test_mistakes_are_sentences(call, sentence):
  with pytest.raises(ValueError, match=sentence):
    call()
