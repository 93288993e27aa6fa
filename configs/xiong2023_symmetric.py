"""arXiv 2310.01769: squared error over steps for X X^T, with as many columns as the rank or more.

Command: python -m experiments.run --config=configs/xiong2023_symmetric.py
Run time: 1 minute on two cores.
Expected: |R - M|^2 falls below 1e-25 for 2 columns, and as T^-2 for 3, 5 and 10.
"""

from configs._merge import merge
from configs._xiong2023 import RANK, SYMMETRIC, VARIANTS

COLUMNS = (RANK, 3, 5, 10)
STEPS = 40_000


def get_config(variant=''):
  return merge(
    SYMMETRIC,
    {
      'hyper': dict(lr=0.1, init_scale=0.5, factor_rank=2.0),
      'steps': STEPS,
      'schedule': dict(log_points=80),
      'sweep': (('hyper.factor_rank', tuple(float(columns) for columns in COLUMNS)),),
    },
    VARIANTS[variant],
  )
