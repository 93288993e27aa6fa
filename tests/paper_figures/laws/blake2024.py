"""Best rates that stay or fall with the width, losses that rounding leaves or changes; and the opposites."""

import ast

import numpy as np

from configs._blake2024 import STANDARD, UNIT
from tests.paper_figures.synthetic import spread


def bowls(transforms, power):
  """Losses of one parametrization with their least at a rate in proportion to width^power; others as they are."""

  def law(config, probe, table):
    width = np.array([ast.literal_eval(text)[0] for text in table['model.widths']]) / 64
    middle = np.where(transforms == UNIT, -3, -7)
    loss = 0.01 * np.exp(0.3 * (np.log2(table['lr']) - middle - power * np.log2(width)) ** 2) * spread(table)
    return table.assign(train_loss=np.where(table['transforms'] == str(transforms), loss, table['train_loss']))

  return law


def rounds(unit, standard):
  """Rounding multiplies the loss by these factors."""

  def law(config, probe, table):
    name = table['transforms']
    factor = np.where(name.str.contains('u_mup'), unit, standard)
    return table.assign(train_loss=0.1 * np.where(name.str.contains('rounded'), factor, 1.0) * (1 + 1e-3 * spread(table, 0.1)))

  return law


LAWS = {
  '1a': (bowls(UNIT, 0.0), bowls(UNIT, -1.0)),
  '1b': (bowls(STANDARD, -1.0), bowls(STANDARD, 0.0)),
  '2a': (bowls(UNIT, 0.0), bowls(UNIT, -1.0)),
  '2b': (bowls(STANDARD, -1.0), bowls(STANDARD, 0.0)),
  '3a': (rounds(1.0, 1.0), rounds(1.2, 1.0)),
  '3b': (rounds(1.0, 1.2), rounds(1.0, 1.0)),
}
