"""Sharpness that rises to 2 / (learning rate), and a loss that rises and falls there; and the opposites."""

import numpy as np

from configs.cohen2021_descent import RATES
from tests.paper_figures.synthetic import spread


def descent(height=2.0, growth=5.0, rough=True, falls=True):
  """Sharpness grows from 4 by a factor, up to height / lr; the loss alternates at the edge, or else below it."""

  def law(config, probe, table):
    lr, late = table['lr'].astype(float), np.minimum(table['step'] / 2000, 1)
    sharpness = np.minimum(4 * growth**late, height / lr) * spread(table, 0.005)
    jumps = np.where((lr > RATES[0]) if rough else (lr < RATES[1]), 0.3, 0.0)
    count = table.groupby(['lr', 'seed'])['step'].rank()
    loss = np.exp(-table['step'] / 1000 * falls) * (1 + jumps * (-1.0) ** count) * spread(table)
    columns = {'largest/0': sharpness, 'lr_largest': lr * sharpness, 'train_loss': loss}
    return table.assign(**{name: column for name, column in columns.items() if name in table})

  return law


paper = descent()
LAWS = {
  '1': (paper, descent(growth=1.0)),
  '2a': (paper, descent(height=1.0)),
  '2b': (paper, descent(height=3.0, growth=20.0)),
  '3a': (paper, descent(rough=False)),
  '3b': (paper, descent(rough=False)),
  '3c': (paper, descent(falls=False)),
}
