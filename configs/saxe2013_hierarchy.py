"""arXiv 1312.6120: items of a hierarchy are told apart in stages, from the broadest split to the finest.

Command: python -m experiments.run --config=configs/saxe2013_hierarchy.py
Run time: 10 seconds on one core.
Expected: the modes of each level of the tree rise together, one level after the other.

Eight items with the 15 properties of their tree; small random weights. Data do not depend on the seed.
"""

from configs._merge import merge
from configs._saxe2013 import LINEAR, UNITS

RATE = 0.005


def get_config():
  return merge(
    LINEAR,
    {
      'data': dict(name='hierarchy', branches=2, levels=3),
      'init.name': 'gaussian',
      'hyper': dict(lr=RATE, init_scale=0.001 * UNITS**0.5),
      'steps': 8000,
      'schedule': dict(log_points=0, linear_points=160),
      'probes': dict(performance=dict(), modes=dict()),
    },
  )
