"""arXiv 2310.16597, theorem on fully connected networks and its figures: outputs over random networks, by width and weights.

Command: python -m experiments.run --config=configs/naitsaada2023_outputs.py
Run time: 2 minutes on one core, as long for each variant; most of it compiles.
Expected: the excess kurtosis of an output over networks falls as 1/width for orthogonal, low-rank (n/4) and sparse weights as for
Gaussian ones, and at width 128 the covariance of two inputs is that of the kernel recursion. At rank 4 it stays above 1.5.

Three hidden layers of relu, weights of variance 2 / fan_in, 64 outputs, two orthogonal inputs of mean square 1; no training. The
authors show 7 layers and up to 10,000 networks. Variants: |x| for relu; six hidden layers; rank n/6 and ten blocks; 28 x 28
digits, whose 10 outputs are Gaussian, because a matrix with 10 columns has no rank n/4.
"""

from configs._merge import merge
from configs._naitsaada2023 import FROM_SECOND, HIDDEN, STRONGER, sweep

WIDTHS, DEPTH = (32, 64, 128), 3
ENDS = WIDTHS[::2]
VARIANTS = {
  '': {'sweep': sweep(WIDTHS, DEPTH, FROM_SECOND)},
  'abs': {'sweep': sweep(ENDS, DEPTH, FROM_SECOND), 'model.activation': 'abs'},
  'deep': {'sweep': sweep(ENDS, 2 * DEPTH, FROM_SECOND)},
  'stronger': {'sweep': sweep(ENDS, DEPTH, FROM_SECOND, STRONGER), 'seeds': tuple(range(456, 712))},
  'mnist': {
    'sweep': sweep(ENDS, DEPTH, HIDDEN),
    'data': dict(name='images', source='mnist', train=16, test=2),
    'seeds': tuple(range(200, 328)),
  },
}


def get_config(variant=''):
  return merge(
    dict(
      data=dict(name='linear_map', singular=(1.0,), inputs=8, outputs=64),
      model=dict(name='mlp', activation='relu', bias=False),
      loss=dict(name='mean_squared_error'),
      optimizer=dict(name='sgd'),
      hyper=dict(lr=1e-6, init_scale=2**0.5),
      steps=1,
      seeds=tuple(range(200, 456)),
      layout='map',
      schedule=dict(log_points=0, stride=2, end=False),
      probes=dict(predictions=dict(examples=2)),
    ),
    VARIANTS[variant],
  )
