"""Frequencies that grow with weights and depth, or do not; and the opposites."""

import numpy as np

from configs._teney2024 import DEPTHS
from tests.paper_figures.synthetic import spread


def magnitude(relu, others):
  """The frequency is a power of the weights' size."""

  def law(config, probe, table):
    power = np.where(table['model.activation'] == 'relu', relu, others)
    return table.assign(frequency=table['band'] ** power * spread(table))

  return law


def depth(plain, residual, normalised):
  """Each layer adds so many cycles."""

  def law(config, probe, table):
    models = table['model'].unique().reshape(len(DEPTHS), 3)
    added = {model: 1 + each * n for n, row in zip(DEPTHS, models, strict=True)
             for model, each in zip(row, (plain, residual, normalised), strict=True)}  # fmt: skip
    return table.assign(frequency=table['model'].map(added) * spread(table, 0.005))

  return law


LAWS = {
  '1a': (magnitude(0.0, 0.5), magnitude(0.5, 0.5)),
  '1b': (magnitude(0.0, 0.5), magnitude(0.0, 0.0)),
  '2a': (depth(1.0, 0.5, 0.1), depth(0.5, 1.0, 0.1)),
  '2b': (depth(1.0, 0.5, 0.1), depth(0.5, 1.0, 1.0)),
}
