"""arXiv 2501.04697, figure 1 in small: a smaller table, fewer arms and probes than configs/prieto2025_fig1.py, for `make demo`.

Command: python -m experiments.run --config=configs/prieto2025_demo.py
Run time: 2 minutes on two cores.
Expected: the perpendicular gradient generalises within 300 steps; softmax alone does not in 1,500.
"""

from configs._merge import merge
from configs._prieto2025 import MLP

P = 89  # five seeds of it take two minutes


def get_config():
  return merge(
    MLP,
    {
      'data.p': P,
      'steps': 1500,
      'seeds': (200, 201, 202, 203, 204),
      'schedule': dict(log_points=16, linear_points=5),
      'probes': dict(performance={}, norms={}, collapse={}, alignment={}),
      'sweep': ((('optimizer.perpendicular', 'steps'), (('off', 1500), ('rescaled', 300))),),
    },
  )
