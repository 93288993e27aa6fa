"""arXiv 2310.08513, proposition 1: a first layer of low rank along the task's own directions, in a two-layer linear network.

Command: python -m experiments.run --config=configs/liu2023_aligned.py
Run time: 1 minute on one core.
Expected: the aligned kernel stays as it was, the random one of the same rank and norm turns; rank 24 is a Gaussian layer.

A linear map of four modes on whitened inputs, plain gradient descent to a loss of 0.05, 1.5% of that of no answer. Rank 4 aligned
reads every mode of the task, ranks 1 and 2 the strongest alone. Variants: 128 hidden
units; four modes of one size, of which a low rank reads some.
"""

from configs._liu2023 import RNN
from configs._merge import merge

FULL, RANKS = 24, (1, 2, 4)
ARMS = (*((rank, directions) for rank in RANKS for directions in ('random', 'task')), (FULL, 'random'))
VARIANTS = {'': {}, 'wide': {'model.widths': (128,)}, 'equal': {'data.singular': (1.4,) * 4}}


def get_config(variant=''):
  return merge(
    RNN,
    {
      'data': dict(name='linear_map', singular=(2.0, 1.5, 1.0, 0.5), inputs=24, outputs=4),
      'model': dict(name='linear', widths=(32,)),
      'init': dict(name='low_rank', rank=FULL, directions='random', where='input/*'),
      'loss.name': 'mean_squared_error',
      'optimizer.name': 'sgd',
      'hyper': dict(lr=0.01, stop_loss=0.05, gain=1.0),
      'steps': 2000,
      'sweep': ((('init.rank', 'init.directions'), ARMS),),
    },
    VARIANTS[variant],
  )
