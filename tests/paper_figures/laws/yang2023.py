"""Best rates that stay or fall with the depth, states that walk or run along it, and the opposites."""

import numpy as np

from configs._yang2023 import DEPTH_MUP, MUP, ODE
from configs.yang2023_diversity import GAPS
from tests.paper_figures.synthetic import spread


def bowls(transforms, power, growth=0.0, scale=1.0):
  """Losses with their least, which grows as depth^growth, at a rate of 2^-7 (depth / 4)^power; others as they are.

  `scale` multiplies those of the absolute value.
  """

  def law(config, probe, table):
    depth, here = table['model.depth'] / 4, table['transforms'] == str(transforms)
    bowl = 0.01 * depth**growth * np.exp((np.log2(table['lr']) + 7 - power * np.log2(depth)) ** 2)
    loss = bowl * spread(table) * (scale if config.endswith(':abs') else 1.0)
    return table.assign(train_loss=np.where(here, loss, table['train_loss']))

  return law


def apart(transforms, power):
  """Increments in proportion to a power of the gap."""

  def law(config, probe, table):
    here = table['transforms'] == str(transforms)
    grown = {f'increment/{i}': np.where(here, 0.1 * gap**power * spread(table), 1.0) for i, gap in enumerate(GAPS)}
    return table.assign(**grown)

  return law


LAWS = {
  '1a': (bowls(DEPTH_MUP, 0.0), bowls(DEPTH_MUP, -0.75)),
  '1b': (bowls(MUP, -0.75), bowls(MUP, 0.0)),
  '1c': (bowls(MUP, 0.0, growth=1.0), bowls(MUP, 0.0)),
  '2a': (apart(DEPTH_MUP, 0.5), apart(DEPTH_MUP, 1.0)),
  '2b': (apart(ODE, 1.0), apart(ODE, 0.5)),
  '3': (bowls(DEPTH_MUP, 0.0, scale=0.5), bowls(DEPTH_MUP, 0.0, scale=2.0)),
}
