"""Eigenvalues of batches a + c / B, rates that follow them, and a spectrum with outliers; and worlds in which they do not."""

import numpy as np

from configs._granziol2020 import SIZES
from tests.paper_figures.synthetic import spread

FULL = 20.0  # largest eigenvalue of all examples


def batches(c=600.0, power=1.0, full=FULL):
  """Largest eigenvalues FULL + c / B^power with a standard error of 0.3."""

  def law(config, probe, table):
    noise = spread(table)
    readings = {f'largest/{i}': (FULL + c * float(size) ** -power) * noise for i, size in enumerate(SIZES)}
    errors = {f'largest_se/{i}': 0.3 + 0 * noise for i in range(len(SIZES))}
    return table.assign(full=full * noise, **readings, **errors)

  return law


def knee(batch):
  """The largest rate of SGD: in proportion to the batch up to 64."""
  return 0.3 * np.minimum(batch, 64) / 8


def rates(
  sgd=knee, adam=lambda batch: 0.1 * (batch / 8) ** 0.5, fly=lambda batch: 0.5 * knee(batch), end=0.1, safe=True, tame=False
):
  """Losses of 100 at rates above the largest of a batch and of 0.1 below; the rate on the fly, the loss at its end, whether it is
  safe, and whether it is so without a memory."""

  def law(config, probe, table):
    batch, noise = table['batch.size'].astype(float), spread(table)
    if probe == 'effective_step':
      return table.assign(rate=fly(batch) * noise)
    if 'fly' in config:
      diverged, last = np.where(table['optimizer.hold'] > 0, not safe, not tame), end
    else:
      diverged, last = table['lr'] > (adam if 'adam' in config else sgd)(batch) * noise, 0.1
    return table.assign(train_loss=np.where(table['step'] == 0, 1.0, np.where(diverged, 100.0, last)))

  return law


def lanczos(scale=1.0, narrow=1.0):
  """Nine outliers over a bulk; nodes lie at quantiles of all eigenvalues, the bulk `narrow` times as wide, and all scaled."""
  spectrum = lambda share: np.where(share > 0.995, 1 + 1e3 * (share - 0.995), share - 0.5)

  def law(config, probe, table):
    name = 'eigenvalues' if probe == 'dense_spectrum' else 'nodes'
    columns = [column for column in table if column.startswith(f'{name}/')]
    values = spectrum(np.linspace(0, 1, len(columns)))
    if name == 'nodes':
      values = scale * values * np.where(values < 1, narrow, 1)
      table = table.assign(**{column: 1.0 for column in table if column.startswith('weights/')})
    return table.assign(**{column: value * spread(table) for column, value in zip(columns, values, strict=True)})

  return law


LAWS = {
  '1a': (batches(), batches(c=-100.0)),
  '1b': (batches(), batches(c=-100.0)),
  '1c': (batches(), batches(c=100.0, power=0.1)),
  '1d': (batches(), batches(full=FULL / 2)),
  '1e': (batches(), batches(power=0.5)),
  '2a': (rates(), rates(sgd=lambda batch: 0.3 * (batch / 8) ** 0.25)),
  '2b': (rates(), rates(sgd=lambda batch: 0.3 * batch / 128)),
  '2c': (rates(), rates(adam=lambda batch: 0.1 + 0 * batch)),
  '3a': (lanczos(), lanczos(scale=0.9)),
  '3c': (lanczos(), lanczos(narrow=0.0)),
  '4a': (rates(), rates(safe=False)),
  '4b': (rates(), rates(end=0.5)),
  '4c': (rates(), rates(tame=True)),
  '4d': (rates(), rates(fly=lambda batch: 0.2 + 0 * batch)),
}
