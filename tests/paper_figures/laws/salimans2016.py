"""|v|^2 grows by the squares of the steps, and holds the effective rate where it suits; and the opposite."""

import numpy as np

from tests.paper_figures.synthetic import spread

STEP = 0.1  # |u| / |v0| of every step


def grown(by):
  """Steps of one length; |v|^2 rises by `by` (momentum) times their squares."""

  def law(config, probe, table):
    names = [name.removeprefix('norm_of/') for name in table if name.startswith('norm_of/direction/')]
    names = names or [name.removeprefix('relative_of/') for name in table if name.startswith('relative_of/direction/')]
    lengths = lambda steps: np.sqrt(1 + by(table['beta1']) * STEP**2 * np.maximum(steps, 0))
    if probe == 'norms':
      return table.assign(**{f'norm_of/{name}': lengths(table['step']) for name in names})
    return table.assign(**{f'relative_of/{name}': STEP / lengths(table['step'] - 1) for name in names})

  return law


def trained(short=(-10, 0), long=(-10, 0), plain=(-6, 0), time=(10, 10), hold=1.0):
  """Octaves that work, by arm; steps that the best rates take, (normed, plain); lr / |v|^2 ~ lr^(1 - hold)."""

  def law(config, probe, table):
    if probe == 'norms':
      names = [name for name in table if name.startswith('norm_of/direction/')]
      return table.assign(**{name: np.sqrt(table['lr'] ** hold) * spread(table) for name in names})
    normed = 'direction_scale' in table
    low, high = plain
    if normed:
      low, high = (np.where(table['direction_scale'] < 1, *pair) for pair in zip(short, long, strict=True))
    octave = np.log2(table['lr'] / spread(table, 0.1))
    works = (octave >= low) & (octave <= high)
    return table.assign(train_accuracy=(works & (table['step'] >= time[0 if normed else 1])).astype(float))

  return law


LAWS = {
  '1a': (grown(lambda beta1: 1 + 18 * beta1), grown(lambda beta1: 2 + 0 * beta1)),
  '1b': (grown(lambda beta1: (1 + beta1) / (1 - beta1)), grown(lambda beta1: 1 + 0 * beta1)),
  '2a': (trained(), trained(short=(-6, 0))),
  '2b': (trained(), trained(long=(-6, 0))),
  '2c': (trained(hold=1.0), trained(hold=0.0)),
  '3': (trained(time=(20, 40)), trained(time=(40, 20))),
}
