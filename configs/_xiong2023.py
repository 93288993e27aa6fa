"""What the configs of arXiv 2310.01769 share: gradient descent on Gaussian measurements of a 20 x 20 matrix of rank 2.

All in float64, as errors fall to 1e-30. The mean of <A, R>^2 is |R|^2, so the gradient of our loss, half the mean squared error,
is near R - M for a product F G^T. For X X^T the paper's loss is half of ours: its step eta is 2 lr. Factors start with entries
N(0, alpha^2 / 20), alpha being hyper.init_scale; the right one of two at a third of that, as we remember the paper's theorem,
so the imbalance F^T F - G^T G is positive definite. Sizes, steps and scales are ours: only the abstract was at hand.

Seeds 100 and up judge; 0 and 1 were used for tuning. Each draws its own matrix, measurements and start, the same for all values
of a sweep.
"""

import ml_collections

SIDE = 20
RANK = 2
SENSING = dict(name='matrix_sensing', rows=SIDE, columns=SIDE, singular=(1.0,) * RANK, train=500, dtype='float64')


def symmetric(**changes):
  """X X^T, with 10 columns at most; hyper.factor_rank says how many are not 0."""
  common = dict(
    data=dict(**SENSING, symmetric=True),
    model=dict(name='factorisation', width=10, symmetric=True),
    init=dict(law='factors'),
    loss=dict(name='mean_squared_error', dtype='float64'),
    optimizer=dict(name='sgd'),
    seeds=(100, 101, 102, 103, 104),
    own_data=True,
    layout='map',
    probes=dict(performance=dict(), recovery=dict(rank=RANK)),
  )
  return ml_collections.ConfigDict({**common, **changes})


def asymmetric(**changes):
  """F G^T, with 5 columns at most, on a matrix that is not symmetric."""
  common = dict(
    data=dict(**SENSING, symmetric=False),
    model=dict(name='factorisation', width=5, symmetric=False),
    probes=dict(performance=dict(), recovery=dict(rank=RANK), balance=dict()),
  )
  return symmetric(**{**common, **changes})


def start(lr, alpha, columns=5.0):
  """The hyper values of an asymmetric run."""
  return dict(lr=lr, init_scale=alpha, factor_rank=columns, right_scale=1 / 3)
