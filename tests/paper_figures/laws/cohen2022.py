"""Preconditioned sharpness at its threshold, raw sharpness far below that of gradient descent; and the opposites."""

from paper_figures.cohen2022 import threshold
from tests.paper_figures.synthetic import spread


def adam(height, raw):
  """Learning rate times preconditioned sharpness at `height` thresholds, and times raw sharpness at `raw`."""

  def law(config, probe, table):
    settled = height * threshold(table['beta1']) * spread(table, 0.01)
    return table.assign(lr_preconditioned=settled, lr_largest=raw * spread(table))

  return law


paper = adam(1.0, 0.01)
LAWS = {
  **{name: (paper, adam(0.7, 0.01)) for name in ('1a', '1c', '1e')},
  **{name: (paper, adam(1.3, 0.01)) for name in ('1b', '1d', '1f')},
  '2': (paper, adam(1.0, 2.0)),
}
