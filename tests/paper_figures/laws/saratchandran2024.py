"""Conditioned networks have lower condition numbers and curvature, and fit sooner and better; and the opposite."""

import numpy as np

from tests.paper_figures.synthetic import spread


def law_of(seen=2.0, trained=2.0, curvature=2.0, pace=1.5, quality=1.0):
  """Of plain networks over conditioned ones: condition numbers, by scaling rows and by training, curvature, steps; dB gained."""

  def law(config, probe, table):
    conditioned = table['transforms.weight_conditioning.on']
    if probe == 'sharpness':
      return table.assign(**{'largest/0': np.where(conditioned, 1, curvature) * spread(table)})
    if probe == 'conditioning':
      by_kind = lambda name: np.where(conditioned, 1, trained) * (1 if name.startswith('equilibrated') else seen)
      names = [name for name in table if '_of/' in name]
      return table.assign(**{name: 10 * by_kind(name) * spread(table) for name in names})
    decibel = 10 * np.log10(np.maximum(table['step'], 1) * np.where(conditioned, pace, 1) * spread(table))
    loss = lambda value: 0.5 * 10 ** (-value / 10)
    unseen = np.where(conditioned, quality, 0) + 20 * spread(table, 0.001)
    return table.assign(train_loss=loss(1.5 * decibel), test_loss=loss(unseen))

  return law


LAWS = {
  '1a': (law_of(), law_of(seen=0.5)),
  '1b': (law_of(seen=1.0), law_of(seen=1.0, trained=0.5)),
  '2': (law_of(), law_of(curvature=0.5)),
  '3': (law_of(), law_of(pace=0.7)),
  '4a': (law_of(), law_of(quality=-1.0)),
  '4b': (law_of(), law_of(quality=-1.0)),
}
