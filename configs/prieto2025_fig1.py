"""arXiv 2501.04697, figures 1, 3 and 6 (left): three ways to train a bias-free MLP with softmax on a + b mod 113.

Command: python -m experiments.run --config=configs/prieto2025_fig1.py
Run time: 4 minutes on two cores.
Expected: the perpendicular gradient generalises within 300 steps (test accuracy over 0.99); softmax alone does not in
1,500 (under 0.05).

Settings of the authors' scripts: 40% of the table, full batch, AdamW with lr 0.01, beta2 0.99, eps 1e-25, weights uniform
in +-1/sqrt(fan_in). Theirs reshuffles the full batch at each step, which changes nothing but rounding. The arm with weight
decay is not in their scripts for this network; 1.0 is our choice. Seeds 100 and up judge; lower ones were used for tuning.
Variants, without the arm with weight decay: other operations, on smaller tables.
"""

from configs._merge import merge
from configs._prieto2025 import ARM, ARMS, EVERY_PROBE, MLP, OTHERS

SWEEP = {'sweep': ((ARM, (ARMS[0], ARMS[2])),)}
VARIANTS = {'': {}} | {name: {**changes, **SWEEP} for name, changes in OTHERS.items()}


def get_config(variant=''):
  return merge(
    MLP,
    {
      'steps': 1500,
      'schedule': dict(log_points=24, linear_points=15),
      'probes': EVERY_PROBE,
      'sweep': ((ARM, ARMS),),
    },
    VARIANTS[variant],
  )
