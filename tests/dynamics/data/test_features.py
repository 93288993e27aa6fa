"""Constraints, patches and shuffled pixels, each against its definition."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import data

KEY = jax.random.key(3, impl='threefry2x32')


@pytest.mark.parametrize(('parameters', 'number'), [(1000, 10), (7, 3), (4, 4)])
def test_constraints_ask_each_part_for_its_number(parameters, number):
  x, y = data.constraints(parameters=parameters, number=number).draw(KEY).train
  np.testing.assert_array_equal(np.asarray(x).sum(0), np.ones(parameters))  # every parameter is in one part
  counts = np.asarray(x).sum(1)
  assert counts.max() - counts.min() <= 1
  np.testing.assert_array_equal(y[:, 0], np.arange(1, number + 1))
  assert np.linalg.matrix_rank(x) == number
  with pytest.raises(ValueError, match='only 3 parameters'):
    data.constraints(parameters=3, number=4)


def test_patches_hold_their_features_and_noise():
  sizes = dict(inputs=50, weak=0.5, strong=3.0, noise=2.0, fraction=0.8, train=400, test=300)
  draw = jax.jit(lambda share: data.patches(**sizes, label_noise=share).draw(KEY))
  drawn, loud = (draw(jnp.float32(share)) for share in (0, 1))
  for split, count in ((drawn.train, 320), (drawn.test, 0)):
    x, y = np.asarray(split.x, np.float64), np.asarray(split.y)
    u, v = x[0, 0] * y[0], np.asarray(drawn.train.x[0, 1] * drawn.train.y[0, 0])
    np.testing.assert_array_equal(y[:, 0], np.where(np.arange(len(y)) % 2, -1, 1))
    np.testing.assert_allclose(x[:, 0], y * u, atol=1e-6)
    np.testing.assert_allclose(x[:count, 1], y[:count] * v, atol=1e-6)
    np.testing.assert_array_equal(x[count:, 1], 0)
    np.testing.assert_allclose([np.linalg.norm(u), np.linalg.norm(v), u @ v], [0.5, 3.0, 0.0], atol=1e-5)
    np.testing.assert_allclose(x[:, 2] @ np.stack([u, v], 1), 0, atol=1e-5)
    np.testing.assert_allclose((x[:, 2] ** 2).sum(1).mean(), 4.0, rtol=0.06)  # four standard errors
  np.testing.assert_array_equal(loud.train.x, drawn.train.x)
  assert 0.3 < np.mean(loud.train.y != drawn.train.y) < 0.7


@pytest.mark.parametrize('flat', [True, False])
def test_shuffled_pixels_are_those_of_the_images_in_one_order(flat):
  sizes = dict(train=60, test=20, flat=flat)
  plain = data.images(**sizes).draw(KEY)
  in_order = data.shuffled(pixels='kept', **sizes).draw(KEY)
  mixed, again = (data.shuffled(**sizes).draw(KEY) for _ in range(2))
  other = data.shuffled(**sizes).draw(jax.random.key(4, impl='threefry2x32'))
  chex.assert_trees_all_equal(in_order, plain)
  chex.assert_trees_all_equal(mixed, again)
  table = lambda d: np.concatenate([np.asarray(part.x).reshape(len(part.x), -1) for part in (d.train, d.test)])
  before, after = table(plain), table(mixed)
  assert mixed.train.x.shape == plain.train.x.shape
  np.testing.assert_array_equal(mixed.train.y, plain.train.y)
  # Columns are the same ones, each once: as rows of bytes, which tell any two pixels apart that are not always blank.
  columns = lambda t: sorted(column.tobytes() for column in t.T)
  assert columns(before) == columns(after)
  assert (before != after).any()
  assert columns(table(other)) != columns(after)  # another split
