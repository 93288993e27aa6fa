"""arXiv 2202.08788: the error under dense Gaussian noise, by its size and by columns, from a small and a larger start.

Command: python -m experiments.run --config=configs/ma2022_noise.py
Run time: 1 minute on two cores.
Expected: the error is 0.2 times the noise, for 2, 5 and 20 columns alike; from a larger start more columns fit more noise.

Every measurement is noisy and none has an outlier. The entries <A, M> of the clean measurements have standard deviation 1.41.
"""

from configs._ma2022 import ROBUST, VARIANTS, start
from configs._merge import merge

NOISES = (0.01, 0.1, 1.0)  # standard deviations
ALPHAS, COLUMNS = (0.001, 0.1), (2.0, 5.0, 20.0)


def get_config(variant=''):
  return merge(
    ROBUST,
    start(0.001, 0.99),
    {
      'hyper.outlier_share': 0.0,
      'steps': 1200,
      'schedule': dict(log_points=0, linear_points=120),
      'sweep': (('data.noise', NOISES), ('hyper.init_scale', ALPHAS[:1] if variant else ALPHAS), ('hyper.factor_rank', COLUMNS)),
    },
    VARIANTS[variant],
  )
