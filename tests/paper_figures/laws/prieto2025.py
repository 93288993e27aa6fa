"""Only the perpendicular gradient generalises, collapse comes earlier in coarser arithmetic; and the opposites."""

import numpy as np

from tests.paper_figures.synthetic import spread


def arms(plain=0.01, projected=0.999, cosine=0.75):
  """Last test accuracies without and with the projection, and the direction of the gradient."""

  def law(config, probe, table):
    accuracy = np.where(table['optimizer.perpendicular'] == 'off', plain, projected) * spread(table, 0.0005)
    columns = {'test_accuracy': np.minimum(accuracy, 1.0), 'cosine': cosine * spread(table)}
    return table.assign(**{name: column for name, column in columns.items() if name in table})

  return law


def collapse(**onsets):
  """Examples lose their loss at a step of their own in each dtype, or never."""

  def law(config, probe, table):
    onset = table['loss.dtype'].map(onsets) * spread(table)
    return table.assign(zero_loss=(table['step'] >= onset).astype(float))

  return law


def generalises(accuracy):
  return lambda config, probe, table: table.assign(test_accuracy=np.minimum(accuracy * spread(table, 0.01), 1.0))


paper = arms()
finer_is_later = collapse(float16=400, float32=3000, float64=np.inf)
LAWS = {
  '1a': (paper, arms(projected=0.6)),
  '1b': (paper, arms(plain=0.9)),
  '2a': (finer_is_later, collapse(float16=1000, float32=1000, float64=np.inf)),
  '2b': (finer_is_later, collapse(float16=400, float32=3000, float64=3500)),
  '3a': (paper, arms(cosine=0.1)),
  '4a': (generalises(0.97), generalises(0.1)),
  '4b': (generalises(0.97), generalises(0.1)),
}
