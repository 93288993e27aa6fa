"""arXiv 2501.04697: the arms of figure 1 on multiplication, a b mod 113.

Command: python -m experiments.run --config=configs/prieto2025_multiply.py
Run time: 5 minutes on two cores.
Expected: as for addition.
"""

from configs._merge import merge
from configs._prieto2025 import ARM, ARMS, EVERY_PROBE, MLP


def get_config():
  return merge(
    MLP,
    {
      'data.operation': 'multiply',
      'steps': 1500,
      'schedule': dict(log_points=16, linear_points=10),
      'probes': EVERY_PROBE,
      'sweep': ((ARM, ARMS),),
    },
  )
