"""arXiv 2310.16597, corollary on the edge of chaos: whether gradients grow or vanish with depth, by the size of the weights.

Command: python -m experiments.run --config=configs/naitsaada2023_edge.py
Run time: 1 minute on one core.
Expected: for all pseudo-iid weights of one variance the gradients of the first and the last layer are of one size at the same
scale of the weights, about 1.4 for ten layers of tanh, and mean-field theory of iid weights says which.

Ten hidden layers of 128 units of tanh without biases, one draw a seed, no training. The authors show phase diagrams with biases.
Variants: erf; twenty layers; 28 x 28 digits.
"""

from configs._merge import merge
from configs._naitsaada2023 import ARMS, HIDDEN, inits

WIDTH, DEPTH, INPUTS = 128, 10, 32
SCALES = (1.1, 1.2, 1.3, 1.4, 1.5)
VARIANTS = {
  '': {},
  'erf': {'model.activation': 'erf'},
  'deep': {'model.widths': (WIDTH,) * 2 * DEPTH},
  'mnist': {'data': dict(name='images', source='mnist', train=64, test=16), 'loss.name': 'cross_entropy'},
}


def get_config(variant=''):
  return merge(
    dict(
      data=dict(name='teacher', inputs=INPUTS, outputs=10, train=64, test=16),
      model=dict(name='mlp', widths=(WIDTH,) * DEPTH, activation='tanh', bias=False),
      loss=dict(name='mean_squared_error'),
      optimizer=dict(name='sgd'),
      hyper=dict(lr=1e-6),
      steps=1,
      seeds=tuple(range(200, 216)),
      layout='map',
      schedule=dict(log_points=0, stride=2, end=False),
      probes=dict(preactivations=dict(examples=32)),
      sweep=(('init', inits(WIDTH, HIDDEN, ARMS)), ('hyper.init_scale', SCALES)),
    ),
    VARIANTS[variant],
  )
