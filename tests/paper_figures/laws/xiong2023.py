"""Errors of over-parametrised factors that fall as T^-2 or linearly, at rates that depend on the start; and other worlds."""

import numpy as np

from tests.paper_figures.synthetic import spread

FLOOR = 1e-16


def world(over=lambda t: t**-2, exact=lambda t: np.exp(-0.01 * t), rate=None, exact_rate=None, stepped=None, drift=None):
  """Squared errors of X X^T with more columns than the rank and with as many; rates of F G^T by alpha with 5 columns, with 2,
  and after the modified step; the drift of the imbalance by learning rate."""
  rate = rate or (lambda alpha: 0.2 * alpha**2)
  exact_rate, stepped = exact_rate or (lambda alpha: 0.1 + 0 * alpha), stepped or (lambda alpha: 0.1 + 0 * alpha)
  drift = drift or (lambda lr: 0.6 * lr)

  def law(config, probe, table):
    noise = spread(table)
    if probe == 'balance':
      return table.assign(**{'drift_of/left': drift(table['lr']) * noise})
    t, few = table['step'] + 1.0, table['factor_rank'] == 2
    if 'symmetric' in config and 'asymmetric' not in config:
      squared = np.where(few, exact(t), over(t)) * noise
    else:
      slow = stepped if 'one_step' in config else rate
      speed = np.where(few, exact_rate(table['init_scale']), slow(table['init_scale']))
      squared = np.exp(-speed * noise * t)
    return table.assign(error=np.maximum(np.sqrt(squared), FLOOR))

  return law


def power_of_time(config, probe, table):
  """F G^T converges as slowly as X X^T."""
  return table.assign(error=1 / (table['step'] + 1.0) * spread(table))


PAPER = world()
LAWS = {
  **dict.fromkeys(('1a', '1b', '1c'), (PAPER, world(over=lambda t: t**-4.0))),
  '1d': (PAPER, world(exact=lambda t: t**-2)),
  '2a': (PAPER, power_of_time),
  '2b': (PAPER, world(rate=lambda alpha: 0.05 * alpha)),
  '2c': (PAPER, world(exact_rate=lambda alpha: 0.2 * alpha**2)),
  '3a': (PAPER, world(drift=lambda lr: 0.2 + lr)),
  '3b': (PAPER, world(drift=lambda lr: 0.1 * lr**0.5)),
  '4a': (PAPER, world(stepped=lambda alpha: 0.25 * alpha)),
  '4b': (PAPER, world(rate=lambda alpha: 0.15 * alpha, stepped=lambda alpha: 0.25 * alpha)),
}
