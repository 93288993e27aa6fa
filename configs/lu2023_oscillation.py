"""arXiv 2310.17074, oscillation of the loss of all training points: read after each of the first 2,000 steps.

Command: python -m experiments.run --config=configs/lu2023_oscillation.py
Run time: 20 seconds on one core.
Expected: at a large learning rate a step that lowers the loss is followed by one that raises it, at a small one by another that
lowers it.

Activation, loss and all sizes are ours: see configs/_lu2023.py. Variants: 200 points; 400 inputs.
"""

from configs._lu2023 import FRESH, LARGE, POINTS, SMALL, VARIANTS
from configs._merge import merge

STEPS = 2_000


def get_config(variant=''):
  return merge(
    POINTS,
    {
      'steps': STEPS,
      'schedule': dict(log_points=0, stride=1),
      'probes': dict(performance=dict()),
      'sweep': (('hyper.lr', (SMALL, LARGE)),),
    },
    FRESH,
    VARIANTS[variant],
  )
