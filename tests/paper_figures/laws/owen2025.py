"""Weights that grow, and rescaling that makes activations smaller and the loss lower; and the opposite."""

import numpy as np

from configs.owen2025_text import RATIO, STEPS
from tests.paper_figures.synthetic import spread


def model(growth, largest, loss):
  """Growth of plain weights; the largest activation and the loss of rescaled networks, where plain ones have 10 and 2."""

  def law(config, probe, table):
    on = table['interventions.tvr.ratio'] == RATIO
    value = lambda rescaled, plain: np.where(on, rescaled, plain) * spread(table)
    if probe == 'weight_shape':
      names = [name for name in table if name.startswith('spread_of')]
      grown = 1 + (growth - 1) * table['step'] / STEPS * spread(table)
      return table.assign(**dict.fromkeys(names, grown))
    if probe == 'extremes':
      return table.assign(largest=value(largest, 10.0))
    return table.assign(test_loss=value(loss, 2.0))

  return law


better, worse = model(3.0, 6.0, 1.8), model(1.2, 12.0, 2.2)
LAWS = {'1': (better, worse), '2': (better, worse), '3': (better, worse)}
