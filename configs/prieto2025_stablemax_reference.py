"""arXiv 2501.04697, figure 1: StableMax at the authors' size, held against the curve of their own code. Slow.

Command: python -m experiments.run --config=configs/prieto2025_stablemax_reference.py
Run time: 5 minutes on two cores.
Expected: test accuracy 0.0022 at step 5,000, 0.0084 at 10,000, 0.0282 at 16,500 (their PyTorch code, one seed).

A quarter of their 80,000 steps: long enough to compare the slopes.
"""

from configs._merge import merge
from configs._prieto2025 import MLP, STABLEMAX


def get_config():
  return merge(
    MLP,
    STABLEMAX,
    {
      'hyper.beta2': 0.999,
      'steps': 20_000,
      'seeds': (100,),
      'schedule': dict(log_points=12, linear_points=40),
      'probes': dict(performance={}, collapse=dict(schedule=dict(linear_points=10)), norms={}),
    },
  )
