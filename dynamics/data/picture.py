"""A picture as a function of the place in it: what coordinate networks are fitted to."""

import pathlib
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from dynamics import trees
from dynamics.components import component
from dynamics.data.images import files_of, load
from dynamics.schema import Range
from dynamics.types import Array, Batch, Data, Key, Task

POOL = 256  # images of a data set from which one is drawn


def _files(*, source: str, **fields) -> list[pathlib.Path]:
  return [] if source == 'field' else files_of(source=source)


@component(files=_files)
def picture(
  *, source: Literal['field', 'digits', 'mnist', 'fashion_mnist', 'cifar10'] = 'field', side: Range(int, least=2) = 32
) -> Task:
  """x: (n, 2) floats, the places of pixels from -1 to 1, down and to the right; y: (n, 1) their gray, from -1/2 to 1/2.

  The training pixels are the black fields of a chessboard, the test pixels the white ones. So the range of y is 1, and the
  peak signal-to-noise ratio in decibel is -10 log10 of the mean squared error.

  Args:
    source: 'field' draws a Gaussian random field whose amplitudes fall with the inverse of the frequency, as those of
      photographs do. The others draw one of the first 256 images of a data set of `images`; colours are averaged.
    side: pixels of a side of 'field'; the others have their own size.

  Raises:
    FileNotFoundError: as `images`.
  """
  if source == 'field':
    make, shape = lambda key: _field(key, side), (side, side)
  else:
    gray = np.asarray(load(source)[0][0][:POOL], np.float32).mean(axis=-1)
    make, shape = (
      lambda key: jnp.asarray(gray)[jax.random.randint(trees.named_key(key, 'image'), (), 0, len(gray))],
      gray.shape[1:],
    )
  rows, columns = np.indices(shape)
  place = 2 * np.stack([rows, columns], axis=-1) / (np.array(shape) - 1) - 1
  black = (rows + columns) % 2 == 0

  def draw(key):
    values = make(key)
    low, high = jnp.min(values), jnp.max(values)
    y = (values - low) / (high - low) - 0.5
    part = lambda where: Batch(jnp.asarray(place[where], jnp.float32), y[where][:, None].astype(jnp.float32))
    return Data(part(black), part(~black))

  return Task(draw, outputs=1)


def _field(key: Key, side: int) -> Array:
  """(side, side) floats on a torus, with amplitudes 1/|f| for frequencies f of whole waves, and 0 at f = 0."""
  waves = np.fft.fftfreq(side, 1 / side)
  frequency = np.hypot(waves[:, None], waves[None])
  amplitude = np.divide(1, frequency, out=np.zeros_like(frequency), where=frequency > 0)
  white = jax.random.normal(trees.named_key(key, 'field'), (side, side), jnp.float32)
  return jnp.real(jnp.fft.ifft2(jnp.fft.fft2(white) * jnp.asarray(amplitude, jnp.complex64)))
