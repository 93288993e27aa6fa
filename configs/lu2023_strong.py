"""arXiv 2310.17074, oscillation by itself: all points have the strong feature, so the loss is that of its fit alone.

Command: python -m experiments.run --config=configs/lu2023_strong.py
Run time: 10 seconds on one core.
Expected: over steps 301 to 600 the loss of a step's point is correlated with that of the step before by about -1/2 at a large
learning rate: a fit that jumps over its label at each visit gives -1 from one visit of a class to the next, and half of all steps
change the class.

Activation, loss and all sizes are ours: see configs/_lu2023.py.
"""

from configs._lu2023 import points


def get_config():
  return points(
    data=dict(name='patches', inputs=200, weak=1.0, strong=4.0, noise=4.0, fraction=1.0, train=100, test=1000),
    steps=600,
    schedule=dict(log_points=0, stride=300),
    probes=dict(performance=dict(), patches=dict(), oscillation=dict()),
  )
