"""arXiv 2503.04626, tables of convergence: steps to 95% of the training set in residual networks of 32 blocks, by init.

Command: python -m experiments.run --config=configs/pan2025_residual.py
Run time: 2 minutes on one core.
Expected: at the best learning rate of each, IDInit takes no more steps than Kaiming's random weights, or than random weights
whose branches end in zeros, as in Fixup.

Each block has two layers of 64 units, each after a layer norm and a relu; the authors train ResNets with batch norm. Digits,
sizes, steps and rates are ours. Variants: no norm; tanh; MNIST.
"""

from configs._merge import merge

INITS = {
  'IDInit': ('padded_identity', 1.0),
  'Kaiming': ('gaussian', 2**0.5),
  'zero branches': ('zero_branches', 2**0.5),
  'ZerO': ('hadamard', 1.0),
}
RATES = (0.003, 0.01, 0.03, 0.1)
SEEDS = tuple(range(200, 208))


def rates(*each):
  return {'sweep': ((('init.name', 'hyper.init_scale'), tuple(INITS.values())), ('hyper.lr', each))}


VARIANTS = {
  '': {},
  'plain': {'seeds': SEEDS[:5], 'model.norm': 'none', **rates(0.0003, 0.001, 0.003, 0.01)},
  'tanh': {'seeds': SEEDS[:5], 'model.activation': 'tanh'},
  'mnist': {'seeds': SEEDS[:5], 'data': dict(name='images', source='mnist', train=500, test=200)},
}


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
