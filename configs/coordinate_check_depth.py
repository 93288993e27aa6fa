"""arXiv 2310.02244: the coordinate check in depth, of residual networks with and without the multipliers of depth-muP.

Command: python -m experiments.run --config=configs/coordinate_check_depth.py:depth_mup
Run time: 1 minute on one core for each variant.
Expected: with depth_mup features have one size and change by one amount at every depth, under SGD and under Adam; with mup
alone, which knows width and no depth, both explode; with branches times 1/L they stay.

Digits, full batch of 256, eight steps, width 64, no biases, blocks of one layer. Learning rates are ours. Seeds 200 and up
judge. Variants: '' is mup; depth_mup; and ode, its power 1, which is branches times 1/L.
"""

from configs._coordinate_check import DIGITS, under
from configs._merge import merge

DEPTHS = (4, 8, 16, 32, 64)
TRANSFORMS = {
  '': dict(name='mup'),
  'depth_mup': dict(name='depth_mup'),
  'ode': dict(name='depth_mup', power=1.0),
}
VARIANTS = {name: {'transforms': (transform,)} for name, transform in TRANSFORMS.items()}


def get_config(variant=''):
  shared = {
    'model': dict(name='residual', width=64, activation='relu', bias=False, stacked=True),
    'probes': dict(coordinates=dict(layers=False)),
    'sweep': (under(0.02, 0.0005), ('model.depth', DEPTHS)),
  }
  return merge(DIGITS, shared, VARIANTS[variant])
