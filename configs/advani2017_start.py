"""arXiv 1710.03667, the effect of the initial weights: final test error by their variance, for alpha < 1.

Command: python -m experiments.run --config=configs/advani2017_start.py
Run time: 4 minutes on one core.
Expected: the final error grows by 1 - alpha per unit of the initial variance, because weights in the null space of the inputs
stay where they were.
"""

from configs._advani2017 import SEEDS, STUDENT
from configs._merge import merge

INPUTS, RATE, STEPS = 400, 0.1, 2500
VARIANCES = (0.0, 0.5, 1.0, 2.0, 4.0)


def get_config():
  return merge(
    STUDENT,
    {
      'data.inputs': INPUTS,
      'hyper.lr': RATE,
      'steps': STEPS,
      'seeds': SEEDS[:40],
      'schedule': dict(log_points=16),
      'probes': dict(performance=dict(), null_space=dict(schedule=dict(log_points=0, linear_points=1))),
      'sweep': (('data.train', (100, 200, 300)), ('hyper.init_scale', tuple(variance**0.5 for variance in VARIANCES))),
    },
  )
