"""arXiv 2409.03424, radiance fields: a network fitted to a picture, with conditioned weights, weight normalisation and plain.

Command: python -m experiments.run --config=configs/saratchandran2024_fit.py
Run time: 2 minutes on one core.
Expected: conditioned weights reach 25 dB a tenth later than plain ones, and 0.1 dB more on the test pixels.

Variants: `mnist` (28 x 28), `deep` (five hidden layers), `wide` (twice the widths).
"""

from configs._merge import merge
from configs._saratchandran2024 import ARMS, FEW, ON, PICTURE, RATES, SETTINGS

STEPS = 1000
VARIANTS = {name: {**changes, **(FEW if name else {})} for name, changes in SETTINGS.items()}


def get_config(variant=''):
  return merge(
    PICTURE,
    {
      'steps': STEPS,
      'schedule': dict(log_points=40, stride=50),
      'probes': dict(performance=dict(), conditioning=dict(schedule=dict(log_points=0, stride=STEPS // 4))),
      'sweep': ((ON, tuple(ARMS.values())), ('hyper.lr', RATES)),
    },
    VARIANTS[variant],
  )
