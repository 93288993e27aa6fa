"""Errors that stay or fall by the number of features, and a band that follows the frequency; and the opposites."""

import numpy as np

from configs._li2020 import BAND
from tests.paper_figures.synthetic import spread


def counts(within, beyond):
  """The error is a power of the number of features."""

  def law(config, probe, table):
    power = np.where(table['frequency'] < BAND, within, beyond)
    widths = table['model.widths'].str.strip('(),').astype(float)
    return table.assign(test_error=0.9 * (widths / 8) ** power * spread(table))

  return law


def bands(power, bounded):
  """The error falls below 1/10 at a band frequency^power, and `bounded` times that with the larger ridge."""

  def law(config, probe, table):
    need = table['frequency'] ** power / 4 * (bounded if probe == 'bounded' else 1)
    return table.assign(test_error=0.1 * (need / table['band']) ** 2 * spread(table))

  return law


falling, staying = counts(-1.0, 0.0), counts(0.0, -1.0)
LAWS = {
  '1a': (falling, staying),
  '1b': (falling, staying),
  '1c': (falling, staying),
  '2': (bands(1.0, 2.0), bands(0.5, 2.0)),
  '3': (bands(1.0, 2.0), bands(1.0, 1.0)),
}
