"""arXiv 2110.12661, low-rank trajectories: what gradient descent from ZerO and from random weights has learned at equal loss.

Command: python -m experiments.run --config=configs/zhao2021_descent.py
Run time: 1 minute on one core.
Expected: from ZerO all seeds have the same losses, to the bit; the stable rank of the change is much the same from both.

The network is 64 - 64 - 256 - 256 - 10 on 500 digits that all seeds share, in full batches, so that a seed draws the weights and
nothing else. A member stands still at a loss of 0.1 nats. Learning rate, level and sizes are ours; the authors train a ResNet.
Variants: tanh; other digits; 128 units.
"""

from configs._merge import merge
from configs._zhao2021 import HADAMARD, INPUTS, RANDOM

ARMS = (RANDOM, HADAMARD)
LEVEL = 0.1  # of the training loss, nats
END = dict(log_points=0, linear_points=0)  # one reading, of the network that has stopped
SEEDS = tuple(range(200, 208))
VARIANTS = {
  '': {},
  'tanh': {'model.activation': 'tanh'},
  'others': {'data_seed': 1},
  'narrow': {'model.widths': (INPUTS, 128, 128)},
}


def get_config(variant=''):
  return merge(
    dict(
      data=dict(name='images', source='digits', train=500, test=500),
      model=dict(name='mlp', widths=(INPUTS, 256, 256), activation='relu', bias=False),
      loss=dict(name='cross_entropy'),
      optimizer=dict(name='momentum'),
      stopping=dict(name='at_loss'),
      hyper=dict(lr=0.01, stop_loss=LEVEL),
      steps=400,
      seeds=SEEDS,
      layout='map',
      schedule=dict(log_points=0, linear_points=40),
      probes=dict(performance=dict(), weight_matrices=dict(schedule=END), clock=dict(schedule=END)),
      sweep=((('init.name', 'hyper.init_scale'), ARMS),),
    ),
    VARIANTS[variant],
  )
