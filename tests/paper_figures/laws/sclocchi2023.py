"""Weights that a small temperature does not move further, and a perceptron whose powers fall with chi; and the opposites."""

import numpy as np

from configs._sclocchi2023 import BATCH
from tests.paper_figures.synthetic import spread


def fitted(readings):
  """Members that have fitted all examples, with `readings(rows)`: columns, of which each probe takes its own."""

  def law(config, probe, table):
    columns = {'train_loss': 0.0 * table['seed'], **{name: column * spread(table) for name, column in readings(table).items()}}
    return table.assign(**{name: column for name, column in columns.items() if name in table})

  return law


def moved(below, above, fall=0.0):
  """A change of the weights with two powers of T that meet at T_c, which falls with the size by a power."""

  def readings(rows):
    size = rows.get('data.train', 64.0)
    ratio = rows['lr'] * rows['alpha'] / BATCH / (2.0**-4 * (size / 64.0) ** -fall)
    return {'relative': 0.03 * ratio ** np.where(ratio < 1, below, above)}

  return fitted(readings)


def of_temperature(most):
  """Signal and time in proportion to T, up to a T."""
  return fitted(lambda rows: {name: rows['lr'].clip(upper=most).astype(float) for name in ('along', 'rested')})


def of_size(signal, time):
  """Powers of the size, by chi, of the signal and of the steps to fit all."""
  power = lambda rows, of: rows['data.train'].astype(float) ** of(rows['data.chi'])
  return fitted(lambda rows: {'along': power(rows, signal), 'rested': power(rows, time)})


def steps_of(most):
  """t* is lr times the steps: in proportion to T up to a T, so steps fall above it."""
  return fitted(lambda rows: {'rested': rows['lr'].clip(upper=most) / rows['lr']})


paper = of_size(lambda chi: 1 / (1 + chi), lambda chi: (3 + chi) / (1 + chi))
opposite = of_size(lambda chi: chi / (1 + chi), lambda chi: 1 + chi)
lazy, flat = moved(0.0, 0.9), moved(0.0, 0.05)
falling, rising = moved(0.0, 0.9, 0.3), moved(0.0, 0.9, -0.3)
LAWS = {
  '1a': (lazy, moved(0.3, 0.9)),
  '1b': (lazy, flat),
  '2a': (falling, rising),
  '2b': (falling, rising),
  '3a': (of_temperature(np.inf), of_temperature(5.0)),
  '3b': (steps_of(np.inf), steps_of(5.0)),
  '3c': (paper, opposite),
  '3d': (paper, opposite),
}
