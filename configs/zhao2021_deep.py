"""arXiv 2110.12661, very deep networks: 64 residual blocks without normalisation, from ZerO and from He's random weights.

Command: python -m experiments.run --config=configs/zhao2021_deep.py
Run time: 1 minute on one core.
Expected: from ZerO the network learns its training set; from random weights its squared outputs are some 2^64 at the start, and
it diverges.

Each block has two layers of 64 units and their activations; the authors train ResNets of up to 500 layers on CIFAR-10. Sizes,
steps and learning rates are ours, the best of five for either init. Variants: tanh; 128 blocks; MNIST.
"""

from configs._merge import merge
from configs._zhao2021 import HADAMARD, RANDOM

ARMS = (RANDOM, HADAMARD)
RATES = (0.0003, 0.001, 0.003, 0.01, 0.03)
SEEDS = tuple(range(200, 208))
VARIANTS = {
  '': {},
  'tanh': {'seeds': SEEDS[:5], 'model.activation': 'tanh'},
  'deeper': {'seeds': SEEDS[:5], 'model.depth': 128},
  'mnist': {'seeds': SEEDS[:5], 'data': dict(name='images', source='mnist', train=1000, test=1000)},
}


def get_config(variant=''):
  return merge(
    dict(
      data=dict(name='images', source='digits', train=1000, test=700),
      model=dict(name='residual', depth=64, width=64, layers=2, stacked=True),
      loss=dict(name='cross_entropy'),
      optimizer=dict(name='momentum'),
      hyper=dict(lr=0.001),
      batch=dict(size=50),
      steps=200,
      seeds=SEEDS,
      own_data=True,
      schedule=dict(log_points=0, linear_points=10),
      probes=dict(performance=dict()),
      sweep=((('init.name', 'hyper.init_scale'), ARMS), ('hyper.lr', RATES)),
    ),
    VARIANTS[variant],
  )
