"""The closed solutions, times to learn by depth and spectra of products; and the opposites."""

import ast

import numpy as np

from configs._saxe2013 import MODES
from paper_figures.saxe2013 import theory
from tests.paper_figures.synthetic import spread


def depth_of(rows):
  widths = rows['model.widths']
  return widths.map({text: len(ast.literal_eval(text)) + 1 for text in widths.unique()}).to_numpy()


def modes(paths):
  """Strengths (t, mode) of `paths(steps, singular values, layers)`, for each number of layers."""

  def law(config, probe, table):
    out = table.assign(**{name: 0.0 for name in table if name.startswith(('strength/', 'target/'))})
    out = out.assign(**{f'target/{i}': s for i, s in enumerate(MODES)})
    depths = depth_of(table) if 'model.widths' in table else np.full(len(table), 2)
    for layers in np.unique(depths):
      rows = table[depths == layers]
      steps = np.unique(rows['step'])
      values = paths(steps, np.array(MODES), layers)[np.searchsorted(steps, rows['step'])]
      for i in range(len(MODES)):
        out.loc[rows.index, f'strength/{i}'] = values[:, i] * spread(rows, 1e-4)
    return out

  return law


def fastest_for_all(steps, singular, layers):
  """All modes rise when the strongest does."""
  return theory(steps, singular[:1], layers) * singular / singular[0]


def deeper(steps, singular, layers):
  """Networks one layer deeper than they are."""
  return theory(steps, singular, layers + 1)


def learned(time):
  """1% of the first loss after time(depth) steps, at every learning rate."""

  def law(config, probe, table):
    losses = 0.01 ** (table['step'] / (time(depth_of(table)) * spread(table)))
    return table.assign(train_loss=losses)

  return law


def spectra(log_condition):
  """Singular values from 1 down to 10^-log_condition(depth), evenly spaced in their logarithm."""

  def law(config, probe, table):
    names = [name for name in table if name.startswith('singular/')]
    logs = log_condition(depth_of(table)) * spread(table)
    return table.assign(**{name: 10 ** (-logs * i / (len(names) - 1)) for i, name in enumerate(names)})

  return law


free, costly = learned(lambda depth: 20 + depth / 10), learned(lambda depth: 3.0 * depth)
solved = modes(theory)
LAWS = {
  '1a': (solved, modes(deeper)),
  '1b': (solved, modes(deeper)),
  '1c': (solved, modes(fastest_for_all)),
  '2a': (free, costly),
  '2b': (free, costly),
  '2c': (costly, free),
  '3': (spectra(lambda depth: 0.9 * depth), spectra(lambda depth: depth**0.5)),
}
