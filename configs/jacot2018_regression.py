"""arXiv 1806.07572, figure 2: functions of trained networks against kernel regression, on four points of the unit circle.

Command: python -m experiments.run --config=configs/jacot2018_regression.py
Run time: 1 minute on one core.
Expected: at width 1000 the networks lie in the band of kernel regression, at width 50 they spread a little wider.

Widths, lr and number of steps are the authors'; they have three hidden layers and biases, we two and none.
"""

from configs._jacot2018 import SPHERE
from configs._merge import merge

ANGLES = (-2.4, -0.6, 0.9, 2.2)


def get_config():
  return merge(
    SPHERE,
    {
      'data': dict(name='sphere', inputs=2, target='product', angles=ANGLES, test=64),
      'hyper.lr': 1.0,
      'steps': 1000,
      'schedule': dict(log_points=0),
      'probes': dict(performance=dict(), predictions=dict(examples=64)),
      'sweep': (('model.widths', ((50, 50), (1000, 1000))),),
    },
  )
