"""Sizes that change by a factor at each layer, and accuracies by init; and the opposites."""

import numpy as np

from tests.paper_figures.synthetic import spread


def by_layer(reading, factor):
  """Mean squares that are `factor` times as large at each next layer."""

  def law(config, probe, table):
    prefix = f'{reading}_of/'
    hidden = sum(name.startswith(f'{prefix}hidden_') for name in table)
    names = ['input', *(f'hidden_{i + 1}' for i in range(hidden)), 'readout']
    return table.assign(**{f'{prefix}{name}/kernel': factor**i * spread(table, 0.1) for i, name in enumerate(names)})

  return law


def accuracy(virgo, kaiming, xavier):
  """Test accuracies at the best learning rate, the least; worse at all others."""

  def law(config, probe, table):
    uniform = np.where(table['init_scale'] > 1.1, kaiming, xavier)
    value = np.where(table['init'].str.startswith('virgo'), virgo, uniform) + 0.02 * np.log(spread(table, 0.1))
    return table.assign(test_accuracy=np.where(table['lr'] == table['lr'].min(), value, 0.5))

  return law


kept, halved = by_layer('mean_square', 0.95), by_layer('mean_square', 0.5)
LAWS = {
  '1a': (kept, halved),
  '1b': (halved, kept),
  '1c': (kept, halved),
  '2': (by_layer('gradient_mean_square', 1.05), by_layer('gradient_mean_square', 2.0)),
  '3a': (accuracy(0.95, 0.94, 0.90), accuracy(0.90, 0.90, 0.90)),
  '3b': (accuracy(0.95, 0.95, 0.90), accuracy(0.95, 0.90, 0.90)),
}
