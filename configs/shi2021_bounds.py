"""arXiv 2103.17268, section 3: interval bounds explode through ten relu layers from the usual weights, and do not from their own.

Command: python -m experiments.run --config=configs/shi2021_bounds.py
Run time: 30 seconds on one core.
Expected: the mean width of the bounds in layer 10 is that in layer 1 with variance 2 pi / n^2, and 10^8 times it with 2 / n.

Only the start is read; inputs may move by 0.1 of their standard deviation. Variants: the 28 x 28 digits, 100 units, ten
convolutions of 16 channels on 8 x 8 digits with zero padding, where the edge has fewer inputs than the init counts.
"""

from configs._merge import merge
from configs._shi2021 import LAYERS, STARTED

INITS = (dict(name='ibp'), dict(name='recommended'))
VARIANTS = {
  '': {},
  'mnist': {'data.source': 'mnist'},
  'narrow': {'model.widths': (100,) * LAYERS},
  'conv': {'model': dict(name='conv', channels=(16,) * LAYERS, strides=(1,) * LAYERS, bias=False), 'data.flat': False},
}


def get_config(variant=''):
  return merge(STARTED, {'sweep': (('init', INITS),)}, VARIANTS[variant])
