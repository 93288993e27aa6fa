"""arXiv 2310.02244: the coordinate check in depth, of residual networks with and without the multipliers of depth-muP.

Command: python -m experiments.run --config=configs/coordinate_check_depth.py:depth_mup
Run time: 1 minute on one core for each variant.
Expected: with depth_mup features have one size and change by one amount at every depth, under SGD and under Adam; with mup
alone, which knows width and no depth, both explode; with branches times 1/L features stay, and change as with depth_mup.

Digits, full batch of 256, eight steps, width 64, no biases, blocks of one layer. Learning rates are ours. Seeds 200 and up
judge. Variants: '' is mup, depth_mup, and ode, its power 1 (branches times 1/L).
"""

from configs._merge import merge
from configs.coordinate_check import get_config as in_width

DEPTHS = (4, 8, 16, 32, 64)
RATES = (('sgd', 0.02), ('adam', 0.0005))
TRANSFORMS = {
  '': dict(name='mup'),
  'depth_mup': dict(name='depth_mup'),
  'ode': dict(name='depth_mup', power=1.0),
}
VARIANTS = {name: {'transforms': (transform,)} for name, transform in TRANSFORMS.items()}


def get_config(variant=''):
  return merge(
    in_width(),
    {
      'model': dict(name='residual', width=64, activation='relu', bias=False, stacked=True),
      'probes': dict(coordinates=dict(layers=False)),
      'sweep': ((('optimizer.name', 'hyper.lr'), RATES), ('model.depth', DEPTHS)),
    },
    VARIANTS[variant],
  )
