"""arXiv 2503.04626, tables of convergence: steps to 95% of the training set in residual networks of 32 blocks, by init.

Command: python -m experiments.run --config=configs/pan2025_residual.py
Run time: 2 minutes on one core.
Expected: at the best learning rate of each, IDInit takes no more steps than Kaiming's random weights, or than random weights
whose branches end in zeros, as in Fixup.

Each block has two layers of 64 units, each after a layer norm and a relu; the authors train ResNets with batch norm. Digits,
sizes, steps and rates are ours. Variants: no norm; tanh; MNIST.
"""

from configs._merge import merge
from configs._pan2025 import RATES, SEEDS, VARIANTS, rates


def get_config(variant=''):
  return merge(
    dict(
      data=dict(name='images', source='digits', train=500, test=200),
      model=dict(name='residual', depth=32, width=64, layers=2, norm='layer', stacked=True),
      loss=dict(name='cross_entropy'),
      optimizer=dict(name='momentum'),
      hyper=dict(lr=0.001),
      batch=dict(size=50),
      steps=100,
      seeds=SEEDS,
      own_data=True,
      schedule=dict(log_points=0, stride=2),
      probes=dict(performance=dict()),
    ),
    rates(*RATES),
    VARIANTS[variant],
  )
