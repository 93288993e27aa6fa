"""Ranks that stop at a cap, losses that a seed or a width does not change, deep networks that train; and the opposites."""

import ast

import numpy as np

from tests.paper_figures.synthetic import spread

RANK_OF = 'change_numerical_rank_of/hidden_2/kernel'


def width(table):
  return table['model.widths'].map(lambda text: ast.literal_eval(text)[1]).to_numpy(float)


def ranks(rank):
  """Every init ends at rank(width), and starts at 0."""
  return lambda config, probe, table: table.assign(**{RANK_OF: np.where(table['step'] > 0, rank(width(table)), 0)})


def losses(of_width):
  def law(config, probe, table):
    return table.assign(train_loss=np.exp(-table['step'] / 100) * of_width(width(table)) * spread(table))

  return law


def accuracy(**of_init):
  """Accuracies by init, in both sets."""

  def law(config, probe, table):
    value = table['init.name'].map(lambda init: of_init.get(init, 0.5)) * spread(table, 0.001)
    return table.assign(train_accuracy=value, test_accuracy=value)

  return law


def stable(ours):
  """Stable ranks at equal loss: 5 from random weights."""

  def law(config, probe, table):
    if probe == 'clock':
      return table.assign(stopped=100.0)
    value = np.where(table['init.name'] == 'hadamard', ours, 5.0) * spread(table)
    return table.assign(**{f'change_stable_rank_of/{layer}/kernel': value for layer in ('hidden_1', 'hidden_2')})

  return law


def of_seed(size):
  return lambda config, probe, table: table.assign(train_loss=np.exp(-table['step'] / 100) * spread(table, size))


at_64, at_70, at_74, grows = (ranks(rank) for rank in (lambda h: 64, lambda h: 70, lambda h: 74, lambda h: 0.9 * h))
LAWS = {
  '1a': (at_64, at_70),
  '1b': (losses(lambda h: 1), losses(lambda h: h)),
  '2a': (at_70, at_64),
  '2b': (at_74, grows),
  '2c': (grows, at_74),
  '3': (accuracy(hadamard=0.955, gaussian=0.96), accuracy(hadamard=0.90, gaussian=0.96)),
  '4': (stable(3.0), stable(7.0)),
  '5': (of_seed(0.0), of_seed(0.01)),
  '6a': (accuracy(hadamard=0.99), accuracy(hadamard=0.6)),
  '6b': (accuracy(gaussian=0.1), accuracy(gaussian=0.9)),
}
