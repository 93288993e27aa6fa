"""What the configs of arXiv 2310.01769 share: gradient descent on Gaussian measurements of a 20 x 20 matrix of rank 2.

All in float64, as errors fall to 1e-30. The mean of <A, R>^2 is |R|^2, so the gradient of our loss, half the mean squared error,
is near R - M for a product F G^T. For X X^T the paper's loss is half of ours: its step eta is 2 lr. Factors start with entries
N(0, alpha^2 / 20), alpha being hyper.init_scale; the right one of two at a third of that, as we remember the paper's theorem,
so the imbalance F^T F - G^T G is positive definite. Sizes, steps and scales are ours: only the abstract was at hand.

Seeds 100 and up judge; 0 and 1 were used for tuning. Each draws its own matrix, measurements and start, the same for all values
of a sweep. Variants have seeds from 200 on.
"""

SIDE, RANK = 20, 2
SENSING = dict(name='matrix_sensing', rows=SIDE, columns=SIDE, singular=(1.0,) * RANK, train=500, dtype='float64')

VARIANTS = {
  '': {},
  'entries': {'data.operator': 'entries', 'seeds': tuple(range(200, 205))},  # every entry of M is seen
  'uneven': {'data.singular': (1.0, 0.5), 'seeds': tuple(range(200, 205))},  # singular values of M
}

SYMMETRIC = dict(  # X X^T, with 10 columns at most; hyper.factor_rank says how many are not 0
  data=dict(**SENSING, symmetric=True),
  model=dict(name='factorisation', width=10, symmetric=True),
  init=dict(name='factors'),
  loss=dict(name='mean_squared_error', dtype='float64'),
  optimizer=dict(name='sgd'),
  seeds=(100, 101, 102, 103, 104),
  own_data=True,
  layout='map',
  probes=dict(performance=dict(), recovery=dict(rank=RANK)),
)
COLUMNS = 5  # of F and G, at most
ASYMMETRIC = {  # F G^T, on a matrix that is not symmetric
  'data.symmetric': False,
  'model.width': COLUMNS,
  'model.symmetric': False,
  'hyper': dict(lr=0.2, init_scale=0.1, factor_rank=float(COLUMNS), right_scale=1 / 3),
  'probes.balance': dict(),
}
