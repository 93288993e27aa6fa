"""arXiv 1804.08838, toy example: 1,000 parameters, s linear constraints, training in random subspaces of every dimension.

Command: python -m experiments.run --config=configs/li2018_toy.py
Run time: 2 minutes on one core.
Expected: the loss reaches zero (to rounding) where the dimension is at least s, and stays orders of magnitude above it below.

As in the paper the weights' parts are to sum to 1, 2, ..., s. Momentum is near 1 because a square random matrix, which is what
d = s leaves of the problem, may have a condition number of several hundred. Seeds 100 and up judge; below 100 were for tuning.
"""

from configs._merge import merge

CONSTRAINTS = (5, 10, 20)


DIMENSIONS = tuple(float(d) for d in range(1, 31))
FEW = {'seeds': (200, 201, 202, 203, 204), 'sweep': (('data.number', (10,)), ('hyper.dimension', DIMENSIONS))}
VARIANTS = {'': {}, 'sparse': {**FEW, 'transforms.subspace.kind': 'sparse'}, 'larger': {**FEW, 'data.parameters': 4000}}


def get_config(variant=''):
  return merge(
    dict(
      data=dict(name='constraints', parameters=1000, number=10),
      model=dict(name='linear'),
      loss=dict(name='mean_squared_error'),
      optimizer=dict(name='momentum'),
      transforms=(dict(name='subspace', most=30, kind='dense'),),
      hyper=dict(lr=1.0, beta1=0.999, dimension=30.0),
      seeds=(100, 101, 102, 103, 104),
      steps=20_000,
      schedule=dict(log_points=16),
      probes=dict(performance=dict(), distance=dict(leaves=False)),
      sweep=(('data.number', CONSTRAINTS), ('hyper.dimension', DIMENSIONS)),
    ),
    VARIANTS[variant],
  )
