"""arXiv 1710.03667, figure 4: test error by the number of examples per input, at the end and at the best stopping time.

Command: python -m experiments.run --config=configs/advani2017_fig4.py
Run time: 2 minutes on one core.
Expected: at the end the error peaks at alpha = 1, several times over its least value on the way.
"""

from configs._advani2017 import STUDENT
from configs._merge import merge

INPUTS, RATE = 200, 0.1
ALPHAS = (0.25, 0.5, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 4.0)


def get_config():
  return merge(
    STUDENT,
    {
      'data.inputs': INPUTS,
      'hyper.lr': RATE,
      'steps': 10_000,
      'seeds': tuple(range(100, 110)),
      'schedule': dict(log_points=40),
      'probes': dict(performance=dict()),
      'sweep': (('data.train', tuple(round(INPUTS * alpha) for alpha in ALPHAS)),),
    },
  )
