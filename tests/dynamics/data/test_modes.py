"""Linear tasks, perceptrons, binary labels and scanned images: closed forms and plain numpy."""

import jax
import numpy as np
import pytest
import scipy.stats

from dynamics import data

KEY = jax.random.key(0, impl='threefry2x32')


def drawn_of(task):
  return jax.jit(task.draw)(KEY)


def correlation(batch):
  """Sigma^31, after a check that the inputs are white."""
  x, y = (np.asarray(v, np.float64) for v in batch)
  np.testing.assert_allclose(x.T @ x / len(x), np.eye(x.shape[1]), atol=1e-6)
  return y.T @ x / len(x)


def test_a_linear_map_has_the_singular_values_it_was_asked_for():
  task = data.linear_map(singular=(1.5, 4.0, 0.25), inputs=7, outputs=5)
  drawn = drawn_of(task)
  u, s, vt = np.linalg.svd(correlation(drawn.train))
  np.testing.assert_allclose(s, [4.0, 1.5, 0.25, 0, 0], atol=1e-5)
  other = np.linalg.svd(correlation(task.draw(jax.random.key(1)).train))
  assert abs(other[0][:, 0] @ u[:, 0]) < 0.99
  assert abs(other[2][0] @ vt[0]) < 0.99
  for wrong in (dict(singular=()), dict(inputs=3), dict(outputs=2)):
    with pytest.raises(ValueError, match=r'singular has \d values; it must have 1 to'):
      data.linear_map(**{'singular': (1.0,) * 4, 'inputs': 7, 'outputs': 5, **wrong})


@pytest.mark.parametrize(('b', 'levels'), [(2, 1), (2, 3), (3, 2), (4, 2)])
def test_a_hierarchy_has_the_modes_of_its_tree(b, levels):
  n = b**levels
  batch = data.hierarchy(branches=b, levels=levels).draw(KEY).train
  assert batch.y.shape == (n, (b ** (levels + 1) - 1) // (b - 1))
  closed = [np.sqrt((n * b - 1) / (b - 1) / n)]
  for j in range(levels):
    closed += [np.sqrt((b ** (levels - j) - 1) / (b - 1) / n)] * (b**j * (b - 1))
  np.testing.assert_allclose(np.linalg.svd(correlation(batch), compute_uv=False), sorted(closed, reverse=True), rtol=1e-5)
  common = lambda i, j: sum(i // b**k == j // b**k for k in range(levels + 1))  # nodes above both items
  np.testing.assert_array_equal(batch.y @ batch.y.T, [[common(i, j) for j in range(n)] for i in range(n)])


@pytest.mark.parametrize('chi', [0, 1, 3])
def test_a_perceptron_has_its_density_near_the_boundary(chi):
  """|x_1| is chi-distributed with chi + 1 degrees of freedom; everything else is a standard normal."""
  x, y = (np.asarray(v) for v in drawn_of(data.perceptron(inputs=3, chi=chi, train=4000)).train)
  np.testing.assert_array_equal(y, x[:, 0] > 0)
  assert abs(y.mean() - 0.5) < 5 * 0.5 / 4000**0.5
  for sample, law in ((np.abs(x[:, 0]), scipy.stats.chi(chi + 1)), (x[:, 1], scipy.stats.norm), (x[:, 2], scipy.stats.norm)):
    assert scipy.stats.kstest(sample, law.cdf).pvalue > 1e-3
  wrong = scipy.stats.kstest(np.abs(x[:, 0]), scipy.stats.chi(chi + 1.5).cdf).pvalue
  assert wrong < 1e-6  # the control
  assert np.abs(np.corrcoef(x.T) - np.eye(3)).max() < 5 / 4000**0.5


def test_binary_labels_of_images():
  make = lambda labels: data.images(train=500, test=100, labels=labels)
  ten = drawn_of(make('classes'))
  for labels, rule in (('parity', lambda y: y % 2), ('halves', lambda y: y >= 5)):
    two = drawn_of(make(labels))
    assert make(labels).outputs == 1
    np.testing.assert_allclose(two.train.x, ten.train.x, atol=1e-5)
    for part in ('train', 'test'):
      np.testing.assert_array_equal(getattr(two, part).y, rule(np.asarray(getattr(ten, part).y)))


def test_scanned_images_are_the_images_in_reading_order():
  make = lambda **k: drawn_of(data.scans(train=50, test=20, **k))
  flat = np.asarray(drawn_of(data.images(train=50, test=20)).train.x)
  rows, pixels = np.asarray(make().train.x), np.asarray(make(order='pixels').train.x)
  for l in range(8):
    np.testing.assert_allclose(rows[:, l], flat[:, 8 * l : 8 * l + 8], atol=1e-5)
  np.testing.assert_allclose(pixels[:, :, 0], flat, atol=1e-5)
