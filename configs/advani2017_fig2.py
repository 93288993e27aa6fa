"""arXiv 1710.03667, figures 2 and 3: test error over time for alpha = 1/2, 1 and 2, with 200 inputs.

Command: python -m experiments.run --config=configs/advani2017_fig2.py
Run time: 4 minutes on one core.
Expected: means over 200 seeds follow the formula within 8%; at alpha = 1 the error falls, then rises several times over.
Fifty seeds from 200 on left alpha = 1 undecided; those from 300 on judge. Variants, of fifty seeds: a signal to noise ratio of 1;
100 inputs.
"""

from configs._advani2017 import STUDENT, once, settings
from configs._merge import merge

ALPHAS = (0.5, 1.0, 2.0)
STEPS = 50_000  # time 1000
VARIANTS = {
  '': {'seeds': tuple(range(300, 500)), 'sweep': settings(200, ALPHAS)},
  'noisy': {'sweep': settings(200, ALPHAS, noise=1.0)},
  'inputs100': {'sweep': settings(100, ALPHAS)},
}


def get_config(variant=''):
  return merge(
    STUDENT,
    {
      'steps': STEPS,
      'schedule': dict(log_points=48),
      'probes': dict(performance=dict(), input_spectrum=dict(schedule=once(STEPS))),
    },
    VARIANTS[variant],
  )
