"""A walk whose distance grows as log t at a speed set by the noise of a step; and walks without noise, or as powers of t."""

import numpy as np

from configs._hoffer2017 import RATE
from tests.paper_figures.synthetic import spread

FITTED = 1000  # the first step without a training error


def walk(clean=np.log, noisy=np.sqrt, squares=np.log, exponent=2.0):
  """How distances grow, by labels and loss, and the exponent of the potential."""

  def law(config, probe, table):
    if probe == 'potential':
      return table.assign(exponent=exponent * spread(table))
    if probe == 'performance':
      return table.assign(train_accuracy=(table['step'] >= FITTED).astype(float))
    t = np.maximum(table['step'], 1.0)
    squared = table['loss.name'] == 'mean_squared_error'
    d = np.where(table['label_noise'] > 0, noisy(t), np.where(squared, squares(t), clean(t)))
    return table.assign(distance=d * spread(table))

  return law


def sizes(noise, steep=0.0):
  """Distances ln(1 + t lr / B^noise), times lr^steep: the rule of the square root makes all alike at noise 0.5."""

  def law(config, probe, table):
    if probe == 'performance':
      return table.assign(train_accuracy=(table['step'] >= FITTED).astype(float))
    rate, size = table['lr'] / RATE, table['batch.size'] / 32
    grown = np.log1p(table['step'] * rate / size**noise) * rate**steep
    return table.assign(distance=grown * spread(table) * spread(table, 0.001) ** size**0.5)

  return law


def tested(small, large, remedied):
  """Test accuracies of the small batch, the large one, and the large one with as many updates."""

  def law(config, probe, table):
    mean = np.where(table['batch.size'] == 16, small, np.where(table['steps'] > 64, remedied, large))
    return table.assign(test_accuracy=mean * spread(table, 0.005))

  return law


quarter = lambda t: t**0.25
LAWS = {
  '1a': (walk(), walk(clean=np.sqrt)),
  '1b': (walk(), walk(clean=np.sqrt)),
  '1c': (walk(), walk(noisy=np.log)),
  '1d': (walk(), walk(squares=quarter)),
  '1e': (walk(), walk(exponent=4.0)),
  '2a': (sizes(0.5), sizes(0.02)),
  '2b': (sizes(0.5), sizes(0.5, steep=0.5)),
  '2c': (sizes(0.5), sizes(0.02)),
  '3a': (tested(0.95, 0.92, 0.949), tested(0.95, 0.92, 0.925)),
  '3b': (tested(0.95, 0.92, 0.949), tested(0.92, 0.95, 0.92)),
  '3c': (tested(0.95, 0.92, 0.949), tested(0.92, 0.95, 0.92)),
}
