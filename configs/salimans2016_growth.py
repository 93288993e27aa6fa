"""arXiv 1602.07868, section 2.1: the norm of v after every step of gradient descent, without momentum and with it.

Command: python -m experiments.run --config=configs/salimans2016_growth.py
Run time: 20 seconds on one core.
Expected: |v|^2 rises at every step, without momentum by the square of the step, and with momentum 0.9 by 19 times as much.

Readings are of every step. Variants: `mnist` (28 x 28), `tanh`, `deep` (six hidden layers).
"""

from configs._merge import merge
from configs._salimans2016 import DIGITS, SETTINGS, SHORT

MOMENTA = (0.0, 0.9)
VARIANTS = SETTINGS


def get_config(variant=''):
  return merge(
    DIGITS,
    {
      'optimizer': dict(name='momentum'),
      'hyper': dict(lr=0.03, direction_scale=SHORT),
      'steps': 400,
      'schedule': dict(log_points=0, stride=1),
      'probes': dict(norms=dict(), effective_step=dict()),
      'sweep': (('hyper.beta1', MOMENTA),),
    },
    VARIANTS[variant],
  )
