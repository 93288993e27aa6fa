"""Signals that are kept or halved by variance, and networks that learn or do not; and the opposites."""

import numpy as np

from configs.kumar2017_signal import LAYERS
from tests.paper_figures.synthetic import spread


def through(recommended, plain):
  """The mean square changes by this factor at every layer."""

  def law(config, probe, table):
    factor = np.where(table['init'].str.startswith('gaussian'), plain, recommended)
    sizes = {f'mean_square_of/after_hidden_{i}': factor**i * spread(table) for i in range(1, LAYERS)}
    return table.assign(**{'mean_square_of/after_input': 1.0, **sizes})

  return law


def learn(recommended, plain):
  """All learning rates end at this training accuracy."""

  def law(config, probe, table):
    ends = np.where(table['init'].str.startswith('gaussian'), plain, recommended)
    return table.assign(train_accuracy=np.minimum(ends * spread(table), 1))

  return law


LAWS = {
  '1a': (through(1.0, 0.5), through(0.5, 0.5)),
  '2a': (learn(0.99, 0.1), learn(0.1, 0.1)),
  '2b': (learn(0.99, 0.1), learn(0.99, 0.99)),
}
