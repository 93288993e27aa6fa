"""arXiv 1312.6120, figure 7: singular values of products of orthogonal and of Gaussian matrices, by the number of factors.

Command: python -m experiments.run --config=configs/saxe2013_fig7.py
Run time: 1 minute on one core.
Expected: all singular values are 1 for orthogonal factors; for Gaussian ones log10 of the condition number grows by about
0.9 a factor.

Only step 0 is read. Float32 holds condition numbers up to 10^6, so the Gaussian's are compared at depths 1 to 5.
Seeds 200 to 299 left the claim undecided; those from 300 on judge. Variants: 8 x 8 matrices; uniform entries.
"""

from configs._merge import merge
from configs._saxe2013 import LINEAR, UNITS, hidden

DEPTHS = dict(orthogonal=(1, 5, 24), gaussian=(1, 2, 3, 4, 5, 24))


def rows(depths, units=UNITS):
  return ((('init.name', 'model.widths'), tuple((law, hidden(depth, units)) for law in depths for depth in depths[law])),)


VARIANTS = {
  '': {'sweep': rows(DEPTHS)},
  'units8': {'sweep': rows({'gaussian': DEPTHS['gaussian'][:-1]}, 8), 'data.inputs': 8, 'data.outputs': 8},
  'uniform': {'sweep': rows({'uniform': DEPTHS['gaussian'][:-1]})},
}


def get_config(variant=''):
  return merge(
    LINEAR,
    {
      'steps': 1,
      'seeds': tuple(range(300, 700)),
      'schedule': dict(log_points=0, stride=2, end=False),
      'probes': dict(performance=dict(), modes=dict()),
    },
    VARIANTS[variant],
  )
