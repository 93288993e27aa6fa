"""arXiv 1710.03667, figures 2 and 3: test error over time for alpha = 1/2, 1 and 2, with 200 inputs.

Command: python -m experiments.run --config=configs/advani2017_fig2.py
Run time: 2 minutes on one core.
Expected: means over five seeds follow the formula within 8%; at alpha = 1 the error falls, then rises several times over.
"""

from configs._advani2017 import STUDENT, once
from configs._merge import merge

INPUTS, TRAIN = 200, (100, 200, 400)
STEPS = 50_000  # time 1000


def get_config():
  return merge(
    STUDENT,
    {
      'data.inputs': INPUTS,
      'steps': STEPS,
      'schedule': dict(log_points=48),
      'probes': dict(performance=dict(), input_spectrum=dict(schedule=once(STEPS))),
      'sweep': (('data.train', TRAIN),),
    },
  )
