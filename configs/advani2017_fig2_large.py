"""arXiv 1710.03667, figures 2 and 3: the same with 1,000 inputs, up to time 20, past the best stopping time.

Command: python -m experiments.run --config=configs/advani2017_fig2_large.py
Run time: 4 minutes on one core.
Expected: means over 100 seeds follow the formula within 3%. Forty seeds from 200 on left it undecided; those from 300 on
judge.
"""

from configs._advani2017 import STUDENT, once, settings
from configs._merge import merge

ALPHAS = (0.5, 1.0, 2.0)
STEPS = 1000


def get_config():
  return merge(
    STUDENT,
    {
      'steps': STEPS,
      'seeds': tuple(range(300, 400)),
      'schedule': dict(log_points=24),
      'probes': dict(performance=dict(), input_spectrum=dict(schedule=once(STEPS))),
      'sweep': settings(1000, ALPHAS),
    },
  )
