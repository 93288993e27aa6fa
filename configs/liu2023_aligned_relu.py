"""arXiv 2310.08513: a first layer of low rank along the task's own directions, in a relu network with one hidden layer on digits.

Command: python -m experiments.run --config=configs/liu2023_aligned_relu.py
Run time: 2 minutes on one core.
Expected: at ranks 4 and 8 the aligned kernel changes less than the random one; at rank 1 it changes more, as one direction of ten
does not tell ten classes apart. Rank 48 is a Gaussian layer.

Variants: tanh; MNIST in place of the 8 x 8 digits, whose larger inputs ask for a smaller learning rate.
"""

from configs._liu2023 import RNN
from configs._merge import merge

FULL, RANKS = 48, (1, 2, 4, 8)
ARMS = (*((rank, directions) for rank in RANKS for directions in ('random', 'task')), (FULL, 'random'))
VARIANTS = {
  '': {},
  'tanh': {'model.activation': 'tanh'},
  'mnist': {'data.source': 'mnist', 'hyper.lr': 0.002, 'layout': 'map'},
}


def get_config(variant=''):
  return merge(
    RNN,
    {
      'data': dict(name='images', source='digits', train=200, test=360),
      'model': dict(name='mlp', widths=(48,), bias=False),
      'init': dict(name='low_rank', rank=FULL, directions='random', where='input/*'),
      'loss.name': 'mean_squared_error',
      'optimizer.name': 'sgd',
      'hyper': dict(lr=0.02, stop_loss=0.05, gain=1.0),
      'sweep': ((('init.rank', 'init.directions'), ARMS),),
    },
    VARIANTS[variant],
  )
