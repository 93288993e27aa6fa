"""A large learning rate oscillates and learns the weak feature, a small one does neither; and the opposites."""

import numpy as np

from configs._lu2023 import LARGE, SMALL
from paper_figures.lu2023 import WEAK
from tests.paper_figures.synthetic import spread


def learned(large=1.0, small=0.5, train=1.0, ratio=20.0):
  """Accuracies on the weak feature alone by learning rate, that on training points, and how much further it is learned."""

  def law(config, probe, table):
    at_large = table['lr'] > (SMALL + LARGE) / 2
    of = lambda a, b: np.where(at_large, a, b)
    columns = {
      'test_accuracy': np.minimum(of(large, small) * spread(table, 0.01), 1.0),
      'train_accuracy': train,
      f'largest/{WEAK}': of(0.05 * ratio, 0.05) * spread(table),
    }
    return table.assign(**{name: column for name, column in columns.items() if name in table})

  return law


def losses(oscillates):
  """A loss that falls steadily, or jumps up and down, by learning rate; the autocorrelation that goes with it."""

  def law(config, probe, table):
    rough = np.array([oscillates(lr) for lr in table['lr']])
    steps = table['step'].to_numpy()
    steady = np.exp(-steps / 300)
    columns = {
      'train_loss': np.where(rough, 0.1 + 0.05 * (-1.0) ** steps * spread(table), steady * spread(table)),
      'autocorrelation': np.where(rough, -0.45, 0.3) * spread(table),
    }
    return table.assign(**{name: column for name, column in columns.items() if name in table})

  return law


paper, opposite = learned(), losses(lambda lr: lr < (SMALL + LARGE) / 2)
oscillating = losses(lambda lr: lr > (SMALL + LARGE) / 2)
LAWS = {
  '1a': (paper, learned(large=0.6)),
  '1b': (paper, learned(small=0.9)),
  '1c': (paper, learned(train=0.9)),
  '2a': (paper, learned(ratio=1.0)),
  **{name: (oscillating, opposite) for name in ('2b', '2c', '2d')},
}
