"""arXiv 2103.17268, section 3: how fast interval bounds widen from the usual weights, by the width of the network.

Command: python -m experiments.run --config=configs/shi2021_widths.py
Run time: 30 seconds on one core.
Expected: ten relu layers of n units with variance 2 / n widen the bounds by sqrt(n / pi) each.

Only the start is read. Variants: the 28 x 28 digits, six layers.
"""

from configs._merge import merge
from configs._shi2021 import LAYERS, STARTED, WIDTHS

VARIANTS = {'': {}, 'mnist': {'data.source': 'mnist'}, 'six': {'layers': 6}}


def get_config(variant=''):
  changes = dict(VARIANTS[variant])
  layers = changes.pop('layers', LAYERS)
  sweep = {'sweep': (('model.widths', tuple((width,) * layers for width in WIDTHS)),)}
  return merge(STARTED, sweep, changes)
