"""arXiv 1710.03667, figure 4: test error by the number of examples per input, at the end and at the best stopping time.

Command: python -m experiments.run --config=configs/advani2017_fig4.py
Run time: 2 minutes on one core.
Expected: at the end the error peaks at alpha = 1, several times over its least value on the way.
Variants: a signal to noise ratio of 1; 100 inputs.
"""

from configs._advani2017 import SEEDS, STUDENT, settings
from configs._merge import merge

RATE = 0.1
ALPHAS = (0.25, 0.5, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 4.0)
VARIANTS = {
  '': {'sweep': settings(200, ALPHAS)},
  'noisy': {'sweep': settings(200, ALPHAS, noise=1.0)},
  'inputs100': {'sweep': settings(100, ALPHAS)},
}


def get_config(variant=''):
  return merge(
    STUDENT,
    {
      'hyper.lr': RATE,
      'steps': 10_000,
      'seeds': SEEDS[:10],
      'schedule': dict(log_points=40),
      'probes': dict(performance=dict()),
    },
    VARIANTS[variant],
  )
