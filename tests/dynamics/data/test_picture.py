"""Pictures as functions of the place, against plain numpy."""

import jax
import numpy as np
import pytest

from dynamics import data
from dynamics.data.images import load

KEY = jax.random.key(0, impl='threefry2x32')


def pixels(drawn, side):
  """(side, side) floats, put together from the places of both parts."""
  board = np.full((side, side), np.nan)
  for part in drawn:
    place = np.rint((np.asarray(part.x) + 1) / 2 * (side - 1)).astype(int)
    board[tuple(place.T)] = np.asarray(part.y)[:, 0]
  return board


@pytest.mark.parametrize(('source', 'side'), [('field', 9), ('digits', 8)])
def test_both_parts_make_up_the_picture_as_the_fields_of_a_chessboard(source, side):
  drawn = data.picture(source=source, side=side).draw(KEY)[:2]
  board = pixels(drawn, side)
  assert np.isfinite(board).all()
  assert (board.min(), board.max()) == (-0.5, 0.5)
  first = np.asarray(drawn[0].x)
  np.testing.assert_allclose(first[0], -1)
  assert {len(part.x) for part in drawn} == {(side**2 + 1) // 2, side**2 // 2}
  if source == 'digits':
    images = load('digits')[0][0][:256, ..., 0]
    shades = images - images.min(axis=(1, 2), keepdims=True)
    shades = shades / shades.max(axis=(1, 2), keepdims=True) - 0.5
    assert np.abs(shades - board).max(axis=(1, 2)).min() < 1e-6


def test_amplitudes_of_a_field_fall_with_the_inverse_of_the_frequency():
  """The mean power of 100 fields, each over the variance that its range leaves it."""
  side, draw = 16, jax.jit(jax.vmap(data.picture(side=16).draw))
  drawn = draw(jax.random.split(KEY, 100))
  power = 0
  for k in range(100):
    board = pixels([jax.tree.map(lambda v, k=k: v[k], part) for part in drawn[:2]], side)
    power = power + np.abs(np.fft.fft2(board / board.std())) ** 2
  waves = np.hypot(*np.meshgrid(*[np.fft.fftfreq(side, 1 / side)] * 2))
  inside = (waves > 0) & (waves < side / 2)
  slope = np.polyfit(np.log(waves[inside]), np.log(power[inside]), 1)[0]
  assert abs(slope + 2) < 0.1
