"""What the configs of arXiv 2202.08788 share: the sub-gradient method (SubGM) on measurements with gross outliers.

M is 20 x 20, positive semi-definite, of rank 2. A share of the measurements, hyper.outlier_share = 0.1, has an outlier
N(0, 10^2) added. f(X) = (1/m) sum |y_i - <A_i, X X^T>|; the paper's direction is half of this gradient, so its step is 2 lr.
Steps fall geometrically, lr decay^t: lr / (1 - decay) is how far they can reach. The start is alpha B, entries of B being
N(0, 1/20) and alpha hyper.init_scale. Sizes and schedules are ours: only the abstract was at hand. A spectral B, as we remember
the paper's, is not tried.

Seeds 100 and up judge, from 200 on what was registered anew; 0 to 9 were used for tuning. Each draws its own matrix,
measurements and start, the same for all values of a sweep.
"""

from configs._merge import Changes

SIDE, RANK, MEASUREMENTS = 20, 2, 1500
OUTLIERS = 0.1  # share
STEP = 0.15  # the first

ROBUST = dict(
  data=dict(name='matrix_sensing', rows=SIDE, columns=SIDE, singular=(1.0,) * RANK, train=MEASUREMENTS, dtype='float64'),
  model=dict(name='factorisation', width=SIDE),
  init=dict(name='factors'),
  loss=dict(name='mean_absolute_error', dtype='float64'),
  optimizer=dict(name='sgd'),
  lr_schedule=dict(name='geometric'),
  seeds=(100, 101, 102, 103, 104),
  own_data=True,
  layout='map',
  probes=dict(performance=dict(), recovery=dict(rank=RANK)),
)

FRESH = tuple(range(200, 220))  # for claims that five seeds left undecided
VARIANTS = {
  '': {},
  'uneven': {'data.singular': (1.0, 0.5), 'seeds': tuple(range(200, 208))},  # singular values of M
  'fewer': {'data.train': 500, 'seeds': tuple(range(200, 208))},  # measurements
}


def start(alpha: float, decay: float) -> Changes:
  """The hyper values of a run with as many columns as M."""
  return {'hyper': dict(lr=STEP, decay=decay, init_scale=alpha, outlier_share=OUTLIERS, factor_rank=float(SIDE))}
