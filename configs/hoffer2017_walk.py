"""arXiv 1705.08741, random walk: the distance from the start while the learning rate is constant, with the claim's controls.

Command: python -m experiments.run --config=configs/hoffer2017_walk.py
Run time: 3 minutes on two cores; a variant, half a minute.
Expected: the distance grows as log t for the cross entropy of clean labels, where t^(1/2) and t^(1/4) fit worse; not so with a
share of 20% noisy labels, nor with the squared error.

Batches of 32, no momentum, no normalisation. The potential is read at step 0 and at the end. Variants: `mnist` (28 x 28), `tanh`,
`momentum`.
"""

from configs._hoffer2017 import DIGITS, NOISES, RATE
from configs._merge import merge

FEW = {'seeds': tuple(range(200, 208)), 'sweep': (('loss.name', ('cross_entropy',)), ('hyper.label_noise', (0.0,)))}
VARIANTS = {
  '': {},
  'mnist': {**FEW, 'data.source': 'mnist'},
  'tanh': {**FEW, 'model.activation': 'tanh'},
  'momentum': {**FEW, 'optimizer': dict(name='momentum'), 'hyper.beta1': 0.9, 'hyper.lr': RATE / 10},
}


def get_config(variant=''):
  return merge(
    DIGITS,
    {
      'probes.potential': dict(nearest=0.3, farthest=10.0, schedule=dict(log_points=0, linear_points=1)),
      'seeds': tuple(range(200, 220)),
      'sweep': (('loss.name', ('cross_entropy', 'mean_squared_error')), ('hyper.label_noise', NOISES)),
    },
    VARIANTS[variant],
  )
