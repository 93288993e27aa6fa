"""arXiv 2501.04697, figure 2: softmax collapse by the dtype of the loss, on a + b mod 113.

Command: python -m experiments.run --config=configs/prieto2025_fig2.py
Run time: 14 minutes on two cores.
Expected: examples with exactly zero loss appear first in float16, later in float32, not at all in float64.

The authors take lr 0.0005 and 20,000 steps; lr 0.01, as in their figure 1, brings collapse within 4,000.
Variants: other operations, on smaller tables.
"""

from configs._merge import merge
from configs._prieto2025 import MLP, OTHERS

DTYPES = ('float16', 'float32', 'float64')
VARIANTS = {'': {}} | OTHERS


def get_config(variant=''):
  return merge(
    MLP,
    {
      'steps': 4000,
      'schedule': dict(log_points=12, linear_points=40),
      'probes': dict(performance={}, collapse={}, alignment=dict(schedule=dict(linear_points=10)), norms={}),
      'sweep': (('loss.dtype', DTYPES),),
    },
    VARIANTS[variant],
  )
