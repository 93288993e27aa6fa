"""Exponential losses whose rates and whose last accuracy depend on the shape at the start, or do not; shapes of weights."""

import numpy as np

from configs._wu2025 import GAUSSIAN, LAPLACE
from tests.paper_figures.synthetic import spread


def trained(speed, right=0.0):
  """Laplace's tails learn `speed` times as fast as all others, and are right on a share `right` more of the test set."""

  def law(config, probe, table):
    laplace = (table['nu'] == LAPLACE).to_numpy()
    rate = 0.02 * np.where(laplace, speed, 1.0) * spread(table)
    return table.assign(
      train_loss=3 * np.exp(-rate * table['step']), test_accuracy=0.9 + right * laplace + 0.001 * np.log(spread(table))
    )

  return law


def weights(nu):
  """Trained weights of this shape that started Gaussian."""

  def law(config, probe, table):
    names = [name for name in table if name.startswith('nu_of/')]
    value = np.where(table['step'] > 0, nu, GAUSSIAN) * spread(table, 0.01)
    return table.assign(**dict.fromkeys(names, value))

  return law


LAWS = {
  '1': (weights(1.5), weights(2.0)),
  '2a': (trained(1.2), trained(1.0)),
  '2b': (trained(1.0, right=0.02), trained(1.0)),
  '3': (trained(1.0), trained(1.5)),
}
