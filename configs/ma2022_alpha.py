"""arXiv 2202.08788: error over steps by the scale alpha of the start, for two schedules; 20 columns, a tenth of outliers.

Command: python -m experiments.run --config=configs/ma2022_alpha.py
Run time: 2 minutes on two cores.
Expected: the last error grows about in proportion to alpha; with the shorter schedule alpha = 1e-4 does not leave the start.

A decay of 0.98 is that of a pilot; 0.99 reaches twice as far.
"""

from configs._ma2022 import FRESH, ROBUST, VARIANTS, start
from configs._merge import merge

ALPHAS, DECAYS = (1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 1e-4), (0.98, 0.99)


def get_config(variant=''):
  return merge(
    ROBUST,
    start(0.1, 0.98),
    {
      'seeds': FRESH,
      'steps': 1200,
      'schedule': dict(log_points=0, linear_points=120),
      'sweep': (('hyper.decay', DECAYS), ('hyper.init_scale', ALPHAS)),
    },
    VARIANTS[variant],
  )
