"""arXiv 2202.08788: the same data and start with the squared loss, to which gross outliers are not small.

Command: python -m experiments.run --config=configs/ma2022_squares.py
Run time: 10 seconds on two cores.
Expected: an error near 1, about that of the zero matrix, where the sub-gradient method has about 0.001.

Plain gradient descent: a decay of 1.
"""

from configs._ma2022 import FRESH, ROBUST, VARIANTS, start
from configs._merge import merge

ALPHA = 0.01


def get_config(variant=''):
  return merge(
    ROBUST,
    start(ALPHA, 1.0),
    {
      'loss': dict(name='mean_squared_error', dtype='float64'),
      'hyper.lr': 0.05,
      'seeds': FRESH,
      'steps': 2000,
      'schedule': dict(log_points=0, linear_points=200),
    },
    VARIANTS[variant],
  )
