"""arXiv 1312.6120, figure 3: the same from small random weights, which align by themselves.

Command: python -m experiments.run --config=configs/saxe2013_fig3_random.py
Run time: 10 seconds on one core.
Expected: half-rise time times s is about 7 for all four modes.

Two layers of weights, entries N(0, 0.001^2). Variants: 64 hidden units (entries N(0, 0.001^2) too); weights ten times as
large; a tanh network.
"""

from configs._merge import merge
from configs._saxe2013 import LINEAR, UNITS

VARIANTS = {
  '': {},
  'wide': {'model.widths': (64,)},
  'larger': {'hyper.init_scale': 0.01 * UNITS**0.5},
  'tanh': {'model': dict(name='mlp', widths=(UNITS,), activation='tanh', bias=False)},
}


def get_config(variant=''):
  return merge(
    LINEAR,
    {
      'init.name': 'gaussian',
      'hyper.init_scale': 0.001 * UNITS**0.5,
      'steps': 14000,
      'schedule': dict(log_points=0, linear_points=280),
      'probes': dict(performance=dict(), modes=dict()),
    },
    VARIANTS[variant],
  )
