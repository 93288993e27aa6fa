"""arXiv 2202.08788: error over steps by columns, by the share of outliers and by their size, from alpha = 0.01.

Command: python -m experiments.run --config=configs/ma2022_rank.py
Run time: 1 minute on two cores.
Expected: the size of the outliers does not matter; their share and the number of columns beyond the rank matter little.
"""

from configs._ma2022 import OUTLIERS, ROBUST, VARIANTS, start
from configs._merge import merge

ALPHA = 0.01
SIZES, SHARES = (10.0, 1000.0), (0.0, 0.1, 0.3)  # of outliers
COLUMNS = (2.0, 3.0, 5.0, 10.0, 20.0)
CLAIMED = (('hyper.outlier_share', (OUTLIERS,)), ('hyper.factor_rank', (20.0,)))  # of variants
OTHERS = {'': (('hyper.outlier_share', SHARES), ('hyper.factor_rank', COLUMNS))}


def get_config(variant=''):
  return merge(
    ROBUST,
    start(ALPHA, 0.99),
    {
      'steps': 1200,
      'schedule': dict(log_points=0, linear_points=120),
      'sweep': (('data.outlier', SIZES), *OTHERS.get(variant, CLAIMED)),
    },
    VARIANTS[variant],
  )
