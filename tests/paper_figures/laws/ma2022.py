"""Errors of SubGM that follow the start, the noise and nothing else; and worlds in which columns, outliers or squares decide."""

import numpy as np

from configs._ma2022 import OUTLIERS
from tests.paper_figures.synthetic import spread


def ended(error):
  """Every reading is error(config, table), a seed's noise apart."""

  def law(config, probe, table):
    return table.assign(error=error(config, table) * spread(table))

  return law


def starts(power=1.0, stuck=1.4, squares=0.9):
  """0.1 alpha^power; `stuck`, unless None, with the short schedule and the smallest start; and gradient descent on squares."""

  def error(config, table):
    if 'squares' in config:
      return squares
    small = (table['decay'] == 0.98) & (table['init_scale'] < 5e-4) & (stuck is not None)
    return np.where(small, stuck or 0, 0.1 * table['init_scale'] ** power)

  return ended(error)


def needs(of_small, of_large):
  """M is recovered from so many measurements on, by columns, from the small start and from the large one."""

  def law(config, probe, table):
    columns = table['factor_rank']
    needed = np.where(table['init_scale'] < 1e-3, of_small(columns), of_large(columns))
    return table.assign(relative=np.where(table['data.train'] >= needed * spread(table, 0.05), 0.0, 1.0))

  return law


def dense(power=1.0, columns=0.0):
  """Under Gaussian noise: 0.2 noise^power (columns / 2)^columns."""
  return ended(lambda config, table: 0.2 * table['data.noise'] ** power * (table['factor_rank'] / 2) ** columns)


def gross(power):
  """outlier^power."""
  return ended(lambda config, table: 0.001 * table['data.outlier'] ** power * (table['outlier_share'] + OUTLIERS))


flat, grows = lambda columns: 100 + 0 * columns, lambda columns: 60 * columns**0.3
LAWS = {
  '1a': (starts(), starts(power=0.0)),
  '1b': (starts(), starts(stuck=None)),
  '1c': (starts(), starts(power=0.0)),
  '2a': (starts(), starts(squares=0.002)),
  '2b': (starts(), starts(squares=0.002)),
  '3a': (needs(flat, grows), needs(grows, grows)),
  '3b': (needs(flat, grows), needs(grows, grows)),
  '3c': (needs(flat, grows), needs(flat, flat)),
  '4': (gross(0.0), gross(0.2)),
  '5a': (dense(), dense(columns=0.5)),
  '5b': (dense(), dense(power=0.5)),
  '5c': (dense(), dense(columns=0.5)),
}
