"""Distributions of one leaf: ranks, spectra, signs, blocks and norms of the matrix that it is, whatever its axes."""

from math import gamma

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import leaves, network
from dynamics.inits import distributions
from dynamics.leaves import Leaf

KEY = jax.random.key(0, impl='threefry2x32')
STRUCTURED = {
  'orthogonal': distributions.orthogonal,
  'low_rank': distributions.low_rank(3),
  'power_law': distributions.power_law(1.5),
  'dale': distributions.dale(0.75),
  'block': distributions.block(3),
  'permuted_block': distributions.block(3, permuted=True),
}
SIDES = (12, 8)
LEAVES = {  # shape, inputs, outputs: the other axes count copies; all are matrices of 12 x 8
  'transposed': ((8, 12), (1,), (0,)),
  'convolution': ((2, 2, 3, 8), (0, 1, 2), (3,)),
  'query of attention': ((12, 4, 2), (0,), (1, 2)),
  'merge of attention': ((4, 3, 8), (0, 1), (2,)),
  'scanned': ((3, 12, 8), (1,), (2,)),
  'scanned merge of attention': ((3, 4, 3, 8), (1, 2), (3,)),
  'experts behind their outputs': ((12, 8, 3), (0,), (1,)),
}


def leaf_of(shape, inputs=(0,), outputs=(1,)):
  fan = lambda axes: int(np.prod([shape[k] for k in axes]))
  return Leaf('a/kernel', shape, jnp.dtype('float32'), fan(inputs), fan(outputs), 'hidden', inputs, outputs)


def matrix(distribution, *shape, key=KEY):
  return np.asarray(distribution(key, leaf_of(shape)), np.float64)


def spectrum(w):
  return np.linalg.svd(w, compute_uv=False)


@pytest.mark.parametrize('distribution', STRUCTURED)
@pytest.mark.parametrize('name', LEAVES)
def test_every_structured_distribution_draws_the_matrices_that_a_leaf_is(name, distribution):
  """Each copy is the draw of a plain matrix from a key of its own; a single one from the key of the leaf."""
  leaf, draw = leaf_of(*LEAVES[name]), STRUCTURED[distribution]
  copies = np.asarray(leaves.matrices(leaf, draw(KEY, leaf)), np.float64)
  assert copies.shape[1:] == SIDES
  keys = [KEY] if len(copies) == 1 else jax.random.split(KEY, len(copies))
  for w, key in zip(copies, keys, strict=True):
    np.testing.assert_allclose(w, matrix(draw, *SIDES, key=key), atol=1e-5)
  assert len(copies) == 1 or not np.allclose(copies[0], copies[1], atol=0.1)


@pytest.mark.parametrize('shape', [(12, 12), SIDES, SIDES[::-1]])
@pytest.mark.parametrize('distribution', STRUCTURED)
def test_every_structured_distribution_fixes_the_norm_and_follows_its_key(distribution, shape):
  w, other = (matrix(STRUCTURED[distribution], *shape, key=key) for key in (KEY, jax.random.key(1)))
  np.testing.assert_allclose([np.linalg.norm(w), np.linalg.norm(other)], w.size**0.5, rtol=1e-5)
  assert not np.allclose(w, other)


def test_the_leaf_of_a_model_says_which_axes_are_inputs():
  """A kernel that a model applies transposed, as it reads from the model: its rows leave the last axis."""
  apply = lambda variables, x: jnp.tanh(x @ variables['params']['w'].T) @ variables['params']['v']
  params = {'w': jax.ShapeDtypeStruct((5, 6), jnp.float32), 'v': jax.ShapeDtypeStruct((5, 2), jnp.float32)}
  described = leaves.describe(apply, {'params': params}, jnp.zeros((3, 6)))
  w = np.asarray(distributions.dale(0.5)(KEY, described['w']))
  np.testing.assert_array_equal(np.sign(w), np.tile([1, 1, 1, -1, -1, -1], (5, 1)))


@pytest.mark.parametrize(('rows', 'columns'), [(12, 12), SIDES, SIDES[::-1], (1, 7)])
def test_orthogonal_is_orthogonal(rows, columns):
  w = matrix(distributions.orthogonal, rows, columns) / max(rows, columns) ** 0.5
  gram = w @ w.T if rows < columns else w.T @ w
  np.testing.assert_allclose(gram, np.eye(min(rows, columns)), atol=1e-5)


def test_an_embedding_is_orthogonal_as_the_matrix_it_is():
  leaf = leaf_of((20, 6))._replace(fan_in=1)  # one row is read at a time
  w = np.asarray(distributions.orthogonal(KEY, leaf)) / 20**0.5
  np.testing.assert_allclose(w.T @ w, np.eye(6), atol=1e-5)


@pytest.mark.parametrize(('rows', 'columns'), [(12, 12), SIDES])
def test_low_rank_is_the_best_approximation_of_one_gaussian_matrix_at_its_norm(rows, columns):
  full = matrix(distributions.gaussian, rows, columns)
  u, s, vt = np.linalg.svd(full, full_matrices=False)
  for rank in (1, 2, 5, columns):
    w = matrix(distributions.low_rank(rank), rows, columns)
    best = (u[:, :rank] * s[:rank]) @ vt[:rank]
    np.testing.assert_allclose(w, best * (rows * columns) ** 0.5 / np.linalg.norm(best), atol=2e-5)
    assert (spectrum(w) > 1e-4).sum() == rank


def test_low_rank_reads_the_directions_it_is_given_and_keeps_its_spectrum():
  axes = np.linalg.qr(np.random.default_rng(0).normal(size=(12, 4)))[0]
  w, random = (matrix(distributions.low_rank(2, d), *SIDES) for d in (jnp.asarray(axes, jnp.float32), None))
  np.testing.assert_allclose(spectrum(w), spectrum(random), atol=1e-5)
  np.testing.assert_allclose(axes[:, :2] @ axes[:, :2].T @ w, w, atol=1e-5)
  assert np.linalg.norm(axes[:, :2].T @ random) < 0.9 * np.linalg.norm(random)  # the control


@pytest.mark.parametrize('exponent', [0.0, 0.5, 2.0])
def test_power_law_has_its_exponent(exponent):
  s = spectrum(matrix(distributions.power_law(exponent), *SIDES))
  np.testing.assert_allclose(s / s[0], np.arange(1.0, 9) ** -exponent, rtol=1e-4)


def test_dale_gives_a_unit_one_sign_and_balances_the_two():
  w = matrix(distributions.dale(0.8), 200, 200)
  assert (w[:160] > 0).all()
  assert (w[160:] < 0).all()
  columns = w.sum(0)
  assert abs(columns.mean()) < 5 * columns.std() / 200**0.5
  np.testing.assert_allclose(-w[160:].mean() / w[:160].mean(), 4, rtol=0.03)
  radius = lambda w: np.abs(np.linalg.eigvals(w)).max() / 200**0.5
  assert radius(w) < 1.3
  assert radius(np.abs(w)) > 4  # the control: an unbalanced mean stands out


@pytest.mark.parametrize(('rows', 'columns', 'blocks'), [(12, 12, 3), (10, 7, 4), (5, 5, 1)])
def test_blocks_are_full_and_the_rest_is_zero(rows, columns, blocks):
  w = matrix(distributions.block(blocks), rows, columns)
  inside = np.array([[i * blocks // rows == j * blocks // columns for j in range(columns)] for i in range(rows)])
  np.testing.assert_array_equal(w != 0, inside)
  assert len(np.unique(np.arange(rows) * blocks // rows)) == blocks


def test_permuted_blocks_are_blocks_whose_rows_and_columns_are_shuffled():
  """As patterns: equal rows of zeros and ones are one block, and each block is full; two keys shuffle otherwise."""
  patterns = [matrix(distributions.block(3, permuted=True), 12, 9, key=jax.random.key(i)) != 0 for i in (0, 1)]
  for inside in patterns:
    blocks, sizes = np.unique(inside, axis=0, return_counts=True)
    np.testing.assert_array_equal(sizes, [4, 4, 4])
    np.testing.assert_array_equal(blocks.sum(0), np.ones(9))
    assert not (inside == (matrix(distributions.block(3), 12, 9) != 0)).all()
  assert (patterns[0] != patterns[1]).any()


@pytest.mark.parametrize('nu', [0.7, 1.0, 2.0, 8.0])
def test_generalised_gaussians_have_the_moments_of_their_shape(nu):
  """E|x|^p = Gamma((p + 1) / nu) Gamma(1 / nu)^(p/2 - 1) / Gamma(3 / nu)^(p/2), at 5 standard errors for p = 1, 2, 4."""
  moment = lambda p: gamma((p + 1) / nu) * gamma(1 / nu) ** (p / 2 - 1) / gamma(3 / nu) ** (p / 2)
  x = matrix(distributions.generalised_gaussian(nu), 600, 500)
  assert abs(x.mean()) < 5 / x.size**0.5
  for p in (1, 2, 4):
    error = ((moment(2 * p) - moment(p) ** 2) / x.size) ** 0.5
    assert abs((np.abs(x) ** p).mean() - moment(p)) < 5 * error
  np.testing.assert_allclose(moment(2), 1)
  np.testing.assert_allclose(moment(4), gamma(5 / nu) * gamma(1 / nu) / gamma(3 / nu) ** 2)


@pytest.mark.parametrize('density', [0.05, 0.5, 1.0])
def test_sparse_entries_have_their_density_variance_and_kurtosis(density):
  x = matrix(distributions.random_sparse(density), 600, 500)
  assert abs((x != 0).mean() - density) <= 5 * (density * (1 - density) / x.size) ** 0.5
  for p, moment, square in ((2, 1, 3 / density), (4, 3 / density, 105 / density**3)):
    assert abs((x**p).mean() - moment) < 5 * (square / x.size) ** 0.5


@pytest.mark.parametrize('dtype', ['bfloat16', 'float16', 'float32'])
def test_traced_shapes_and_densities_draw_what_numbers_draw_in_every_dtype(dtype):
  leaf = leaf_of((9, 7))._replace(dtype=jnp.dtype(dtype))
  for make, values in ((distributions.generalised_gaussian, (0.8, 3.0)), (distributions.random_sparse, (0.3, 0.9))):
    both = jax.vmap(lambda value, make=make: make(value)(KEY, leaf))(jnp.asarray(values, jnp.float32))
    assert both.dtype == leaf.dtype
    for row, value in zip(both, values, strict=True):
      single = np.asarray(make(value)(KEY, leaf), np.float32)
      np.testing.assert_allclose(np.asarray(row, np.float32), single, rtol=1e-2 if dtype != 'float32' else 1e-5)
    assert not np.allclose(np.asarray(both[0], np.float32), np.asarray(both[1], np.float32))


@pytest.mark.parametrize('window', [(3, 3), (2, 4), (5, 1)])
def test_what_is_centred_is_a_matrix_where_padding_puts_the_own_input(window):
  """A convolution with padding 'SAME' then maps every pixel by that matrix, at sqrt(taps) times the scale of a dense one."""
  leaf = leaf_of((*window, 6, 8), (0, 1, 2), (3,))._replace(window=(0, 1))
  w = distributions.centred(distributions.orthogonal)(KEY, leaf)
  dense = np.asarray(distributions.orthogonal(KEY, leaf_of((6, 8))))
  assert (np.asarray(w) != 0).sum() == 48
  x = np.random.default_rng(0).normal(size=(2, 5, 5, 6)).astype(np.float32)
  out = jax.lax.conv_general_dilated(x, w, (1, 1), 'SAME', dimension_numbers=('NHWC', 'HWIO', 'NHWC'))
  np.testing.assert_allclose(out, np.prod(window) ** 0.5 * x @ dense, rtol=1e-4, atol=1e-4)
  plain = leaf_of((6, 8))
  np.testing.assert_array_equal(distributions.centred(distributions.orthogonal)(KEY, plain), dense)


@pytest.mark.parametrize(
  ('distribution', 'sentence'),
  [
    (distributions.low_rank(5), 'rank is 5, but a/kernel is 6 x 4: take 4 at most'),
    (distributions.low_rank(2, jnp.eye(6, 1)), 'a/kernel is 6 x 4 and rank is 2, but there are 1 directions of length 6'),
    (distributions.low_rank(2, jnp.eye(5, 3)), 'there are 3 directions of length 5'),
    (distributions.block(5), 'blocks is 5, but a/kernel is 6 x 4: take 4 at most'),
    (distributions.dale(0.01), 'excitatory is 0.01, which makes 0 of the 6 units'),
  ],
)
def test_a_distribution_that_does_not_fit_a_leaf_says_so(distribution, sentence):
  for leaf in (leaf_of((6, 4)), leaf_of((4, 2, 3), (1, 2), (0,))):
    with pytest.raises(ValueError, match=sentence):
      distribution(KEY, leaf)


def test_an_attention_layer_at_its_own_fans():
  """Queries (64, 8, 8) read 64 features: orthogonal ones are 64 x 64, not 512 x 8."""
  x = jnp.zeros((2, 3, 64))
  described = network.from_flax(nn.MultiHeadDotProductAttention(8), x).leaves()
  for name in ('query', 'out'):
    leaf = described[name]['kernel']
    w = np.asarray(leaves.matrices(leaf, distributions.orthogonal(KEY, leaf)))[0] / 8
    np.testing.assert_allclose(w.T @ w, np.eye(64), atol=1e-4)
