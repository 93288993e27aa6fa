"""Kernels that sharpen and stand still with the width, errors that decay by their eigenvalues; and the opposites."""

import ast

import numpy as np

from configs.jacot2018_widths import POINTS, RATE
from tests.paper_figures.synthetic import spread

EIGENVALUES = 2.0 * 0.85 ** np.arange(POINTS)
COLUMNS = [f'kernel/{i}' for i in range(POINTS**2)]


def width_of(rows):
  return rows['model.widths'].map(lambda widths: ast.literal_eval(widths)[0]).to_numpy(float)


def random_kernels(power):
  """Entries that differ between starts in proportion to width^power."""

  def law(config, probe, table):
    noise = np.random.default_rng(2).normal(size=(len(table), POINTS**2))
    return table.assign(**dict(zip(COLUMNS, (1 + width_of(table)[:, None] ** power * noise).T, strict=True)))

  return law


def drifting(power):
  """A change in training in proportion to width^power."""
  return lambda config, probe, table: table.assign(drift=width_of(table) ** power * spread(table))


def decaying(rates):
  """A diagonal kernel; the error along eigenvector i decays by `rates` (i,) of its eigenvalues, within 2%."""

  def law(config, probe, table):
    if probe == 'kernel':
      return table.assign(**dict(zip(COLUMNS, np.diag(EIGENVALUES).ravel(), strict=True)))
    noise = np.exp(0.02 * np.random.default_rng(3).normal(size=(1000, POINTS)))[table['seed']]
    errors = np.exp(-rates(RATE * EIGENVALUES / POINTS) * noise * table['step'].to_numpy()[:, None])
    return table.assign(**{f'residual/{i}': errors[:, i] for i in range(POINTS)})

  return law


by_eigenvalues = decaying(lambda rates: rates)
LAWS = {
  '1': (random_kernels(-0.5), random_kernels(0.0)),
  '2a': (drifting(-1.0), drifting(0.0)),
  '2b': (drifting(-1.0), drifting(0.1)),
  '3a': (by_eigenvalues, decaying(lambda rates: np.full(POINTS, rates.mean()))),
  '3b': (by_eigenvalues, decaying(lambda rates: rates / 2)),
  '3c': (by_eigenvalues, decaying(lambda rates: rates * np.where(np.arange(POINTS) == POINTS - 1, 0.5, 1.0))),
}
