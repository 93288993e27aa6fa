"""Ranks above the inputs, copies that come apart, losses that fall, and inits that are fast; and the opposites."""

import ast

import numpy as np

from tests.paper_figures.synthetic import spread


def ranks(factor):
  """Every rank is a multiple of the number of inputs from the first step on."""

  def law(config, probe, table):
    inputs = table['model.widths'].map(lambda text: ast.literal_eval(text)[0])
    return table.assign(**{'change_numerical_rank_of/hidden_2/kernel': np.where(table['step'] > 0, factor * inputs, 0)})

  return law


def copies(*, same_outputs, minibatches, full):
  """How far apart copies are at the end: those that one output reads, and others by the size of the batch."""

  def law(config, probe, table):
    alike = table['model.widths'].map(lambda text: ast.literal_eval(text)[1] % 10 == 0)
    value = np.where(alike, same_outputs, np.where(table['batch.size'] > 0, minibatches, full))
    return table.assign(**{'apart_of/hidden_1/kernel': value * spread(table)})

  return law


def losses(*, full, minibatches):
  def law(config, probe, table):
    end = np.where(table['batch.size'] > 0, minibatches, full)
    return table.assign(train_loss=16 * np.where(table['step'] > 0, end, 1) * spread(table))

  return law


def times(ours):
  """IDInit learns after `ours` steps and all others after 50."""

  def law(config, probe, table):
    step = np.where(table['init.name'] == 'padded_identity', ours, 50)
    return table.assign(train_accuracy=(table['step'] >= step).astype(float))

  return law


noise = copies(same_outputs=1e-2, minibatches=1e-2, full=1e-7)
outputs = copies(same_outputs=1e-7, minibatches=1e-2, full=1e-2)
never = copies(same_outputs=1e-7, minibatches=1e-7, full=1e-7)
LAWS = {
  '1a': (ranks(2), ranks(1)),
  '1b': (ranks(1), ranks(2)),
  '2a': (outputs, never),
  '2b': (outputs, noise),
  '2c': (noise, outputs),
  '2d': (outputs, noise),
  '3a': (losses(full=0.25, minibatches=0.25), losses(full=1e-5, minibatches=0.25)),
  '3b': (losses(full=0.25, minibatches=1e-5), losses(full=0.25, minibatches=0.25)),
  **{name: (times(30), times(80)) for name in ('4a', '4b', '4c')},
}
