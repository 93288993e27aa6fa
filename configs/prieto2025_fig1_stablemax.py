"""arXiv 2501.04697, figure 1: the StableMax arm at p = 113, made fast enough to see it generalise.

Command: python -m experiments.run --config=configs/prieto2025_fig1_stablemax.py
Run time: 5 minutes on two cores.
Expected: test accuracy over 0.9 without weight decay.

Against the authors' setting: 60% of the table instead of 40%, and beta2 0.99 instead of 0.999. Theirs is in
configs/prieto2025_stablemax_reference.py, and needs 80,000 steps.
"""

from configs._merge import merge
from configs._prieto2025 import EVERY_PROBE, MLP, STABLEMAX

STEPS = 3500


def get_config():
  return merge(
    MLP,
    STABLEMAX,
    {
      'data.train_fraction': 0.6,
      'steps': STEPS,
      'schedule': dict(log_points=16, linear_points=20),
      'probes': EVERY_PROBE,
    },
  )
