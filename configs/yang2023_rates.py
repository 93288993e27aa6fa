"""arXiv 2310.02244, abstract: training loss by learning rate and depth, with and without the multipliers of depth-muP.

Command: python -m experiments.run --config=configs/yang2023_rates.py
Run time: 3 minutes on one core.
Expected: with depth_mup the best learning rate is the same from 4 to 64 blocks, within an octave; with mup alone no rate trains
64 blocks, unless a layer norm keeps their size, and then the best rate falls with the depth.

Variants: the absolute value, MNIST, and a layer norm before each activation.
"""

from configs._merge import merge
from configs._yang2023 import DEPTH_MUP, DIGITS, MUP

DEPTHS = (4, 16, 64)
RATES = tuple(2.0**power for power in range(-13, -3))
JUDGES, FEWER = tuple(range(220, 228)), tuple(range(200, 205))
VARIANTS = {
  '': {'seeds': JUDGES},
  'abs': {'model.activation': 'abs', 'seeds': JUDGES},
  'mnist': {'data.source': 'mnist', 'seeds': FEWER},
  'norm': {'model.norm': 'layer', 'seeds': FEWER},
}


def get_config(variant=''):
  sweep = (('transforms', (DEPTH_MUP, MUP)), ('model.depth', DEPTHS), ('hyper.lr', RATES))
  return merge(DIGITS, {'probes': dict(performance=dict()), 'sweep': sweep}, VARIANTS[variant])
