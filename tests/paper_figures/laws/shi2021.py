"""Bounds that keep their width or explode, by init and by width, and networks that learn or do not; and the opposites."""

import numpy as np

from configs._shi2021 import LAYERS
from tests.paper_figures.synthetic import spread


def through(own, usual):
  """The width of the bounds changes by this factor at every layer."""

  def law(config, probe, table):
    factor = np.where(table['init'].str.startswith('ibp'), own, usual)
    widths = {f'width_of/after_hidden_{i}': factor**i * spread(table) for i in range(1, LAYERS)}
    return table.assign(**{'width_of/after_input': 1.0, **widths})

  return law


def widths(power):
  """The factor a layer is a power of the width."""

  def law(config, probe, table):
    units = table['model.widths'].str.strip('()').str.split(',').str[0].astype(float)
    return table.assign(growth=units**power * spread(table))

  return law


def learn(own, normalised):
  """All learning rates end at this training accuracy."""

  def law(config, probe, table):
    ends = np.where(table['model'].str.startswith('normalised'), normalised, own)
    return table.assign(train_accuracy=np.minimum(ends * spread(table), 1))

  return law


LAWS = {
  '1a': (through(1.0, 8.0), through(8.0, 8.0)),
  '1b': (through(1.0, 8.0), through(1.0, 1.0)),
  '2': (widths(0.5), widths(1.0)),
  '3a': (learn(0.1, 0.99), learn(0.99, 0.99)),
  '3b': (learn(0.1, 0.99), learn(0.1, 0.1)),
}
