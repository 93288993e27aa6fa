"""arXiv 1312.6120, figure 3: mode strengths over time from aligned balanced weights, against the closed solution.

Command: python -m experiments.run --config=configs/saxe2013_fig3.py
Run time: 20 seconds on one core.
Expected: sigmoids that follow the theory within 2% of s; with two layers of weights mode s rises at a time ~ 1/s.

The singular values 4, 3, 2, 1 and the initial strength 0.001 are ours. Three layers of weights follow the deep equation.
Variants: 64 hidden units; five modes of which some are close to each other.
"""

from configs._merge import merge
from configs._saxe2013 import LINEAR, hidden

START = 0.001  # of every mode
DEPTHS = (2, 3)
VARIANTS = {
  '': {'sweep': (('model.widths', tuple(hidden(depth) for depth in DEPTHS)),)},
  'wide': {'sweep': (('model.widths', tuple(hidden(depth, 64) for depth in DEPTHS)),)},
  'close': {
    'sweep': (('model.widths', tuple(hidden(depth) for depth in DEPTHS)),),
    'data.singular': (4.0, 3.8, 3.6, 0.8, 0.6),
  },
}


def get_config(variant=''):
  return merge(
    LINEAR,
    {
      'init.name': 'aligned',
      'hyper.init_scale': START,
      'steps': 16000,
      'schedule': dict(log_points=0, linear_points=160),
      'probes': dict(performance=dict(), modes=dict()),
    },
    VARIANTS[variant],
  )
