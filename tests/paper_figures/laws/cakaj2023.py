"""Companded weights that are away from zero, short of tails and generalise; and the opposite."""

import numpy as np

from tests.paper_figures.synthetic import spread


def companded(near, kurtosis, accuracy):
  """Of companded weights; plain ones have a tenth near zero, a kurtosis of 3 and an accuracy of 0.8, at the best rate 1/64."""

  def law(config, probe, table):
    on = table['transforms.weight_compander.on'].astype(bool)
    if probe == 'performance':
      away = 0.01 * np.abs(np.log2(table['lr']) + 6)
      return table.assign(test_accuracy=np.where(on, accuracy, 0.8) * spread(table, 1e-3) - away)
    values = {'near_zero': np.where(on, near, 0.1), 'kurtosis': np.where(on, kurtosis, 3.0)}
    names = [(name, name.split('_of/')[0]) for name in table if name.split('_of/')[0] in values]
    return table.assign(**{name: values[reading] * spread(table) for name, reading in names})

  return law


better, worse = companded(0.02, 2.0, 0.85), companded(0.2, 4.0, 0.75)
LAWS = {'1a': (better, worse), '1b': (better, worse), '2': (better, worse)}
