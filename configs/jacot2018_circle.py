"""arXiv 1806.07572, figure 1: the tangent kernel on the unit circle, at the start and after 200 steps.

Command: python -m experiments.run --config=configs/jacot2018_circle.py
Run time: 1 minute on one core.
Expected: the curves of the wide networks lie closer to each other and to the limit, and training hardly moves them.

The authors take widths 500 and 10,000, three hidden layers and Gaussian training inputs; ours are 100 and 1000, two hidden
layers, and training points on the circle itself, evenly spaced from angle 0, so that a row of the kernel is the curve.
"""

import math

from configs._jacot2018 import SPHERE
from configs._merge import merge

POINTS = 32


def get_config():
  return merge(
    SPHERE,
    {
      'data': dict(
        name='sphere', inputs=2, target='product', angles=tuple(2 * math.pi * i / POINTS for i in range(POINTS)), test=POINTS
      ),
      'hyper.lr': 1.0,
      'steps': 200,
      'seeds': (200, 201, 202, 203, 204),
      'schedule': dict(log_points=0, linear_points=1),
      'probes': dict(performance=dict(), kernel=dict(examples=POINTS, keep=True, leaves=False)),
      'sweep': (('model.widths', ((100, 100), (1000, 1000))),),
    },
  )
