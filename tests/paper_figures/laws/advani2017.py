"""The formula for all seeds, errors linear in the variance of the start, a frozen null space; and the opposites."""

import numpy as np
import pandas as pd

from analysis.series import by
from dynamics.theory.spectra import Spectrum, generalisation
from paper_figures.advani2017 import NOISE, RATE, ROUNDING, Setting, formula, infinite
from tests.paper_figures.synthetic import spread


def over_time(noise_share):
  """The formula with the variance of the labels' noise times `noise_share`; all inputs have these eigenvalues."""

  def law(config, probe, table):
    inputs, noise = int(table['data.inputs'].iloc[0]), float(table['data.noise'].iloc[0]) ** 2
    eigenvalues = np.linspace(3, 0.2, inputs)
    if probe == 'input_spectrum':
      columns = {f'eigenvalue/{i}': np.full(len(table), value) for i, value in enumerate(eigenvalues)}
      return pd.concat([table[table.columns.difference(columns)], pd.DataFrame(columns, table.index)], axis=1)
    out, known = table.assign(test_loss=0.0), Setting(inputs, noise * noise_share, RATE[config])
    for train, rows in by(table, 'data.train').items():
      steps, learned = np.unique(rows['step']), eigenvalues[:train] * train / inputs
      spectrum = Spectrum(learned, np.full(len(learned), 1 / inputs))
      errors = dict(zip(steps, formula(known, spectrum, steps, train), strict=True))
      out.loc[rows.index, 'test_loss'] = (rows['step'].map(errors) * spread(rows, 0.01) - noise) / 2
    return out

  return law


def by_alpha(examples):
  """The formula at infinite size, with as many examples as `examples` says of alpha."""

  def law(config, probe, table):
    out, inputs = table.assign(test_loss=0.0), int(table['data.inputs'].iloc[0])
    for train, rows in by(table, 'data.train').items():
      steps, alpha = np.unique(rows['step']), examples(train / inputs)
      times = RATE[config] * steps
      errors = dict(zip(steps, generalisation(times, infinite(alpha), start=0.01, noise=NOISE, tau=alpha), strict=True))
      out.loc[rows.index, 'test_loss'] = (rows['step'].map(errors) * spread(rows) - NOISE) / 2
    return out

  return law


def started(power, price):
  """A last error that grows as variance^power, by `price` of 1 - alpha."""

  def law(config, probe, table):
    unlearned = (1 - table['data.train'] / 400) * price
    return table.assign(test_loss=(0.3 + unlearned * (table['init_scale'] ** 2) ** power * spread(table)) / 2)

  return law


def drifting(share):
  """Weights of size 10 in the null space, which move by a share of it."""
  return lambda config, probe, table: table.assign(size=10.0, moved=10.0 * share * spread(table))


right, peaked, linear = over_time(1.0), by_alpha(lambda alpha: alpha), started(1.0, 1.0)
LAWS = {
  **dict.fromkeys(('1a', '1b', '1c', '1d'), (right, over_time(0.5))),
  '2a': (peaked, by_alpha(lambda alpha: alpha / 2)),  # worst at twice as many examples as inputs
  '2b': (peaked, by_alpha(lambda alpha: alpha + 1)),  # never near the peak
  '3a': (linear, started(2.0, 0.3)),
  '3b': (linear, started(1.0, 0.5)),
  '3c': (drifting(0.1 * ROUNDING), drifting(1e-2)),
}
