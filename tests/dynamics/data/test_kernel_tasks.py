"""Points on spheres, and permutations of bits, from their definitions in plain numpy."""

import itertools

import jax
import numpy as np
import pytest

from dynamics import data

KEY = jax.random.key(0, impl='threefry2x32')


@pytest.mark.parametrize(('inputs', 'radius'), [(2, 1.0), (6, 3.0)])
def test_points_lie_on_their_sphere_all_over_and_carry_the_product(inputs, radius):
  x, y = (np.asarray(v) for v in data.sphere(inputs=inputs, radius=radius, train=4000).draw(KEY).train)
  np.testing.assert_allclose((x**2).sum(axis=1), radius**2, rtol=1e-5)
  np.testing.assert_allclose(x.T @ x / len(x), radius**2 / inputs * np.eye(inputs), atol=0.06 * radius**2)
  np.testing.assert_allclose(y[:, 0], (x[:, 0] / radius) * (x[:, 1] / radius), atol=1e-6)


def test_angles_place_the_training_points_and_the_test_points_are_a_regular_polygon():
  drawn = data.sphere(angles=(0.5, -2.0), radius=3.0, train=9, test=7).draw(KEY)
  turned = [np.asarray(part.x[:, 0]) + 1j * np.asarray(part.x[:, 1]) for part in (drawn.train, drawn.test)]
  np.testing.assert_allclose(turned[0], 3 * np.exp(1j * np.array([0.5, -2.0])), atol=1e-6)
  np.testing.assert_allclose(turned[1], 3 * np.exp(2j * np.pi / 7 * np.arange(7)), atol=1e-5)
  with pytest.raises(ValueError, match='not 3'):
    data.sphere(inputs=3, angles=(0.0,))


@pytest.mark.parametrize('bits', [2, 4])
def test_a_permutation_is_shown_on_single_bits_and_asked_on_all_others(bits):
  drawn = data.permutation(bits=bits).draw(KEY)
  rows = lambda x: sorted(map(tuple, np.asarray(x).tolist()))
  every = [b for b in itertools.product((0.0, 1.0), repeat=bits) if sum(b)]
  assert rows(drawn.train.x) == [b for b in every if sum(b) == 1]
  assert rows(drawn.test.x) == [b for b in every if sum(b) > 1]
  for part in (drawn.train, drawn.test):
    assert [tuple(y) for y in part.y.tolist()] == [(x[-1], *x[:-1]) for x in part.x.tolist()]


def test_a_count_of_test_inputs_is_kept():
  x = np.asarray(data.permutation(bits=6, test=10).draw(KEY).test.x)
  assert len(np.unique(x, axis=0)) == len(x) <= 10
  assert x.sum(axis=1).max() > 4
