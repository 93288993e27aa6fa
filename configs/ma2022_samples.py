"""arXiv 2202.08788: how often M is recovered, by the number of measurements and of columns, from a small and a larger start.

Command: python -m experiments.run --config=configs/ma2022_samples.py
Run time: 8 minutes on two cores.
Expected: from alpha = 1e-4 about 120 measurements do in nine of ten cases, for 4 columns as for 20; from 0.01 20 need more.

Measurements are static: as rows of zeros, those that a member does not use would cost as much as the others.
"""

from configs._ma2022 import ROBUST, start
from configs._merge import merge

MEASUREMENTS = (60, 70, 80, 90, 100, 110, 120, 130, 140, 160, 180, 200, 240)
ALPHAS, COLUMNS = (1e-4, 1e-2), (2.0, 4.0, 8.0, 20.0)
SCOPE = {  # from the small start alone
  'seeds': tuple(range(200, 250)),
  'sweep': (('data.train', MEASUREMENTS), ('hyper.init_scale', ALPHAS[:1]), ('hyper.factor_rank', COLUMNS)),
}
VARIANTS = {
  '': {},
  'uneven': {**SCOPE, 'data.singular': (1.0, 0.5)},
  'rarer': {**SCOPE, 'hyper.outlier_share': 0.05},
}


def get_config(variant=''):
  return merge(
    ROBUST,
    start(1e-4, 0.99),
    {
      'data.train': 100,
      'steps': 1000,
      'schedule': dict(log_points=0, linear_points=1),
      'seeds': tuple(range(200, 300)),
      'sweep': (('data.train', MEASUREMENTS), ('hyper.init_scale', ALPHAS), ('hyper.factor_rank', COLUMNS)),
    },
    VARIANTS[variant],
  )
