"""Layers of unit variance that train, and others that do not; and the opposites."""

import numpy as np

from configs._mishkin2015 import LAYERS
from configs.mishkin2015_gaussian import SCALES
from tests.paper_figures.synthetic import spread

NAMES = ('input', *(f'hidden_{i}' for i in range(1, LAYERS)), 'readout')


def through(factor):
  """The mean square changes by this factor at every layer."""

  def law(config, probe, table):
    return table.assign(**{f'mean_square_of/{name}/kernel': factor**i * spread(table) for i, name in enumerate(NAMES)})

  return law


def ends(xavier, small):
  """All learning rates end at this training loss."""

  def law(config, probe, table):
    scale = table.get('init_scale', SCALES[0])
    return table.assign(train_loss=np.where(scale == SCALES[1], small, xavier) * spread(table, 1e-3))

  return law


GUESSING = np.log(10)
LAWS = {
  '1a': (through(1.0), through(0.9)),
  '1b': (through(0.5), through(1.0)),
  '2a': (ends(0.01, 0.01), ends(2.3, 2.3)),
  '2b': (ends(0.01, GUESSING), ends(0.01, 0.01)),
}
