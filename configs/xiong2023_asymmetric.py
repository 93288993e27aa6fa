"""arXiv 2310.01769: squared error over steps for F G^T, by the scale alpha of the start, the same draw for every alpha.

Command: python -m experiments.run --config=configs/xiong2023_asymmetric.py
Run time: 1 minute on two cores.
Expected: the log of |R - M|^2 falls linearly at a rate in proportion to alpha^2 for 5 columns, and at one without alpha for 2.
"""

from configs._merge import merge
from configs._xiong2023 import ASYMMETRIC, COLUMNS, RANK, SYMMETRIC, VARIANTS

ALPHAS = (0.1, 0.2, 0.4, 0.8)
ARMS = tuple((float(columns), alpha) for columns in (RANK, COLUMNS) for alpha in ALPHAS)


def get_config(variant=''):
  return merge(
    SYMMETRIC,
    ASYMMETRIC,
    {
      'steps': 20000,
      'schedule': dict(log_points=60, linear_points=400),
      'sweep': ((('hyper.factor_rank', 'hyper.init_scale'), ARMS),),
    },
    VARIANTS[variant],
  )
