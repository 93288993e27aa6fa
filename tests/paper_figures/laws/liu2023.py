"""A high rank, a low rank along the task and a large gain are lazy; and the opposites."""

import numpy as np

from tests.paper_figures.synthetic import spread

KERNEL, MOVED = 'alignment', 'distance_of/recurrent/kernel'


def stopped_with(column, value):
  """Networks that all stop, with a reading of `value(rows)`."""

  def law(config, probe, table):
    if probe == 'clock':
      return table.assign(stopped=100.0)
    return table.assign(**{column: value(table) * spread(table)})

  return law


def of_rank(column, power):
  return stopped_with(column, lambda rows: 0.5 * rows['init.rank'].astype(float) ** power)


def of_directions(lazy, least):
  """Rows along `lazy` keep their kernel, from rank `least` on; below it those along the other do."""
  other = {'task': 'random', 'random': 'task'}[lazy]
  along = lambda rows: np.where(rows['init.rank'] >= least, lazy, other)
  return stopped_with(KERNEL, lambda rows: np.where(rows['init.directions'] == along(rows), 0.95, 0.8))


def of_gain(high, low):
  """Powers of the gain by which alignment grows at high and low ranks."""
  return stopped_with(KERNEL, lambda rows: 0.6 * rows['gain'].astype(float) ** np.where(rows['init.rank'] > 4, high, low))


falls, rises = of_rank(MOVED, -0.1), of_rank(MOVED, 0.1)
lazier, richer = of_rank(KERNEL, 0.1), of_rank(KERNEL, -0.1)
LAWS = {
  **{f'1{letter}': (falls, rises) for letter in 'abc'},
  **{f'1{letter}': (lazier, richer) for letter in 'def'},
  '2a': (of_directions('task', 1), of_directions('random', 1)),
  '2b': (of_directions('task', 1), of_directions('task', 2)),
  '2c': (of_directions('task', 1), of_directions('random', 1)),
  '3': (of_gain(0.2, 0.2), of_gain(0.2, -0.2)),
}
