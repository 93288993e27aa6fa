"""arXiv 1903.10520: batches of two with group normalisation, with weight standardisation, and with batch-channel normalisation.

Command: python -m experiments.run --config=configs/qiao2019_micro.py
Run time: 4 minutes on one core.
Expected: weight standardisation lowers the training loss after two epochs.

Smoothness is read of the convolutions alone. Variants: `mnist` (28 x 28), `one` (batches
of one, one epoch).
"""

from configs._merge import merge
from configs._qiao2019 import ARMS, DIGITS, ON, RATES, SETTINGS, STEPS

VARIANTS = SETTINGS


def get_config(variant=''):
  return merge(
    DIGITS,
    {
      'schedule': dict(log_points=0, at=tuple(STEPS * k // 10 for k in range(11))),
      'probes': dict(
        performance=dict(),
        smoothness=dict(examples=64, where='[hi]*kernel'),
      ),
      'sweep': ((ON, tuple(ARMS.values())), ('hyper.lr', RATES)),
    },
    VARIANTS[variant],
  )
