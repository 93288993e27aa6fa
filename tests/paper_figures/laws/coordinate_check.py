"""Changes in proportion to a power of the size, for each optimizer and layer, and the opposites."""

import ast

import numpy as np

from paper_figures.coordinate_check import CHAIN, FIRST, LAST, SECOND, size_of
from tests.paper_figures.synthetic import spread


def growing(power, *readings, under=('sgd', 'adam')):
  """These readings change as size^power, under these optimizers; all others as they are."""

  def law(config, probe, table):
    number = lambda size: ast.literal_eval(size)[0] if isinstance(size, str) else size
    size = table[size_of(table)].map(number).to_numpy(float)
    here = table['optimizer.name'].isin(under)
    return table.assign(**{name: np.where(here, size**power * spread(table), table[name]) for name in readings})

  return law


stay = growing(0.05, *CHAIN), growing(0.5, *CHAIN)
LAWS = {
  '1': stay,
  '2': (growing(1.0, 'output_change'), growing(0.0, 'output_change')),
  '3a': (growing(-0.5, FIRST, SECOND, under=('sgd',)), growing(0.0, FIRST, SECOND, under=('sgd',))),
  '3b': (growing(0.0, 'output_change', under=('sgd',)), growing(0.5, 'output_change', under=('sgd',))),
  '3c': (growing(0.5, SECOND, under=('adam',)), growing(0.0, SECOND, under=('adam',))),
  '4': (growing(0.0, *LAST), growing(-0.5, *LAST)),
  '5a': (growing(-0.05, *LAST), growing(0.5, *LAST)),
  '5b': (growing(0.0, *LAST), growing(0.5, *LAST)),
  '5c': (growing(0.5, *LAST), growing(0.0, *LAST)),
  '6a': (growing(0.0, SECOND, 'output_change', under=('adam',)), growing(0.5, SECOND, 'output_change', under=('adam',))),
  '6b': (growing(-0.5, FIRST, under=('adam',)), growing(0.0, FIRST, under=('adam',))),
}
