"""Accuracies that rise with the dimension of the subspace and reach 90% at a given dimension; and a threshold in the toy."""

import ast

import numpy as np

from paper_figures.li2018 import weights
from tests.paper_figures.synthetic import spread

FREE = 0.97  # accuracy with all weights free


def threshold(missing):
  """The toy problem is solved from s - missing dimensions on."""

  def law(config, probe, table):
    solved = table['dimension'] >= table['data.number'] - missing
    return table.assign(train_loss=np.where(solved, 1e-8, 0.1) * spread(table))

  return law


def rises(dimension_of):
  """Accuracies reach 90% of FREE at dimension_of(table)."""

  def law(config, probe, table):
    if '_full' in config:
      accuracy = FREE + 0 * table['seed']
    else:
      accuracy = FREE * (1 - 0.1 ** (table['dimension'] / dimension_of(table) * spread(table)))
    return table.assign(train_accuracy=accuracy, test_accuracy=accuracy)

  return law


def of_size(power):
  """In proportion to a power of the number of weights."""
  size = lambda table: table['model.widths'].map(lambda text: weights(ast.literal_eval(text)))
  return rises(lambda table: 50 * (size(table) / 910) ** power)


def of(column, plain, other, dimensions):
  """One dimension where the column has the plain value, and another elsewhere."""
  return rises(lambda table: np.where(table[column] == plain, dimensions, other))


LAWS = {
  '1': (threshold(0), threshold(1)),
  '2': (of_size(0.1), of_size(0.5)),
  '3a': (of('data.pixels', 'kept', 200, 120), of('data.pixels', 'kept', 100, 120)),
  '3b': (of('label_noise', 0.0, 450, 90), of('label_noise', 0.0, 180, 90)),
}
