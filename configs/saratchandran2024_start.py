"""arXiv 2409.03424, section 4: the curvature of the loss at the start, with conditioned weights, weight normalisation and plain.

Command: python -m experiments.run --config=configs/saratchandran2024_start.py
Run time: 1 minute on one core.
Expected: the largest eigenvalue of the Hessian is about the same for all three.

Outputs have one size in the mean. Variants: `mnist` (28 x 28), `deep` (five hidden layers), `wide` (twice the widths).
"""

from configs._merge import merge
from configs._saratchandran2024 import ARMS, ON, PICTURE, SETTINGS

VARIANTS = {name: {**changes, **({'seeds': tuple(range(200, 210))} if name else {})} for name, changes in SETTINGS.items()}


def get_config(variant=''):
  return merge(
    PICTURE,
    {
      'steps': 1,
      'seeds': tuple(range(200, 220)),
      'schedule': dict(log_points=0, stride=2, end=False),
      'probes': dict(sharpness=dict(examples=256, preconditioned=False), conditioning=dict()),
      'sweep': ((ON, tuple(ARMS.values())),),
    },
    VARIANTS[variant],
  )
