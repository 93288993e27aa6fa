"""Memorised at once, generalised later the weaker the decay; and the opposite."""

import numpy as np

from tests.paper_figures.synthetic import spread


def learned(train, test):
  """Both accuracies jump to 1, at steps (train, test) of the weight decay."""

  def law(config, probe, table):
    decay = np.maximum(table['weight_decay'], 1e-3)
    at = lambda time: (table['step'] >= time(decay) * spread(table)).astype(float)
    return table.assign(train_accuracy=at(train), test_accuracy=at(test))

  return law


soon, late = lambda decay: 50 + 0 * decay, lambda decay: 1000 / decay
a_little_later = lambda decay: 200 / decay
LAWS = {
  '1': (learned(soon, late), learned(soon, a_little_later)),
  '2': (learned(soon, late), learned(soon, soon)),
}
