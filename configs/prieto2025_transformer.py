"""arXiv 2501.04697, figure 6 (right): a one-layer transformer encoder on a + b mod 59.

Command: python -m experiments.run --config=configs/prieto2025_transformer.py
Run time: 8 minutes on two cores.
Expected: the perpendicular gradient generalises first.

Width 128, 4 heads, lr 0.001; the weight decay of the middle arm is 1.5. The authors take p = 113 and
5,000 steps; the smaller table, 60% of it, and 500 steps fit three seeds and three arms into the run time above.
"""

from configs._merge import merge
from configs._prieto2025 import MLP

P, DECAY = 59, 1.5


def get_config():
  return merge(
    MLP,
    {
      'data.p': P,
      'data.train_fraction': 0.6,
      'model': dict(name='transformer', layers=1, width=128, heads=4, norm='post'),
      'hyper.lr': 0.001,
      'steps': 500,
      'seeds': (100, 101, 102),
      'schedule': dict(log_points=16, linear_points=10),
      'probes': dict(performance={}, collapse={}, alignment=dict(leaves=False), norms=dict(leaves=False)),
      'sweep': ((('optimizer.perpendicular', 'hyper.weight_decay'), (('off', 0.0), ('off', DECAY), ('rescaled', 0.0))),),
    },
  )
