"""arXiv 1806.07572, figure 3 and theorems 1 and 2: the tangent kernel at the start and in training, by width.

Command: python -m experiments.run --config=configs/jacot2018_widths.py
Run time: 1 minute on one core; tanh 2, three hidden layers 3.
Expected: the kernel's spread over starts falls as width^(-1/2), its change in training as width^-1 or a little slower, and at
width 1024 the error along each eigenvector of the kernel decays at the rate of its eigenvalue.

Relu, two hidden layers, no biases, 24 points on a sphere in six dimensions with radius sqrt(6), so that every unit of the first
layer starts as N(0, 1). Targets N(0, 1) leave errors of one size along all eigenvectors, and lr 0.5 is small beside 2 over the
largest rate. Shared data, ten starts. Seeds 200 and up judge; others were used for tuning. Variants: tanh; three hidden layers.
"""

from configs._jacot2018 import SPHERE
from configs._merge import merge

RATE, STEPS, POINTS = 0.5, 600, 24
EACH = (32, 64, 128, 256, 512, 1024)  # of all hidden layers
VARIANTS = {
  '': {'sweep': (('model.widths', tuple((width,) * 2 for width in EACH)),)},
  'tanh': {'sweep': (('model.widths', tuple((width,) * 2 for width in EACH)),), 'model.activation': 'tanh'},
  'deep': {'sweep': (('model.widths', tuple((width,) * 3 for width in EACH)),)},
}


def get_config(variant=''):
  return merge(
    SPHERE,
    {
      'data': dict(name='sphere', inputs=6, radius=6**0.5, target='noise', train=POINTS, test=POINTS),
      'hyper.lr': RATE,
      'steps': STEPS,
      'schedule': dict(log_points=24, linear_points=40),
      'probes': dict(
        performance=dict(),
        residuals=dict(examples=POINTS),
        distance=dict(leaves=False),
        kernel=dict(examples=POINTS, keep=True, leaves=False, schedule=dict(log_points=0, linear_points=4)),
      ),
    },
    VARIANTS[variant],
  )
