"""arXiv 2310.17074, oscillation by itself: all points have the strong feature, so the loss is that of its fit alone.

Command: python -m experiments.run --config=configs/lu2023_strong.py
Run time: 10 seconds on one core.
Expected: over steps 301 to 600 the loss of a step's point is correlated with that of the step before by about -1/2 at a large
learning rate: a fit that jumps over its label at each visit gives -1 from one visit of a class to the next, and half of all steps
change the class.

Activation, loss and all sizes are ours: see configs/_lu2023.py.
"""

from configs._lu2023 import POINTS
from configs._merge import merge


def get_config():
  return merge(
    POINTS,
    {
      'data.fraction': 1.0,
      'steps': 600,
      'schedule': dict(log_points=0, stride=300),
      'probes': dict(performance=dict(), patches=dict(), oscillation=dict()),
    },
  )
