"""arXiv 2310.17074, feature learning by learning rate: 90 of 100 points have a strong feature, all have a weak one.

Command: python -m experiments.run --config=configs/lu2023_features.py
Run time: 30 seconds on one core.
Expected: above the rate at which a fit on the strong feature is stable, the weak one is learned as well; below, hardly at all.

Activation, loss and all sizes are ours: see configs/_lu2023.py. Variants: 200 points; 400 inputs.
"""

from configs._lu2023 import POINTS, VARIANTS
from configs._merge import merge

STEPS = 10_000


def get_config(variant=''):
  return merge(
    POINTS,
    {
      'steps': STEPS,
      'schedule': dict(log_points=24),
      'probes': dict(performance=dict(), patches=dict(), oscillation=dict(schedule=dict(log_points=0))),
    },
    VARIANTS[variant],
  )
