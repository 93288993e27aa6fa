"""arXiv 2310.01769: how far the imbalance F^T F - G^T G drifts from its start, by learning rate and alpha.

Command: python -m experiments.run --config=configs/xiong2023_balance.py
Run time: 1 minute on two cores.
Expected: less than 5% for a small learning rate, in proportion to it.

The error has left the start, and learned both directions, in a time (steps times learning rate) of 60.
"""

from configs._merge import merge
from configs._xiong2023 import ASYMMETRIC, SYMMETRIC

RATES = (0.2, 0.1, 0.05, 0.02, 0.01)
ALPHAS = (0.1, 0.2, 0.4)


def get_config():
  return merge(
    SYMMETRIC,
    ASYMMETRIC,
    {
      'steps': 6000,
      'schedule': dict(log_points=60, linear_points=100),
      'sweep': (('hyper.init_scale', ALPHAS), ('hyper.lr', RATES)),
    },
  )
