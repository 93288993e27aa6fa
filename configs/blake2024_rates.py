"""arXiv 2407.17465, figure 1: training loss by learning rate and width, under u-muP and under the standard parametrization.

Command: python -m experiments.run --config=configs/blake2024_rates.py
Run time: 3 minutes on one core.
Expected: under u_mup the best learning rate is the same from width 64 to 576, within an octave; under the standard
parametrization it falls with the width.

Variants: tanh, MNIST.
"""

from configs._blake2024 import DIGITS, STANDARD, UNIT
from configs._merge import merge

WIDTHS = (64, 192, 576)
RATES = {'unit': tuple(2.0**power for power in range(-9, 0)), 'standard': tuple(2.0**power for power in range(-13, -4))}
ARMS = tuple((transforms, lr) for transforms, name in ((UNIT, 'unit'), (STANDARD, 'standard')) for lr in RATES[name])
VARIANTS = {'': {}, 'tanh': {'model.activation': 'tanh'}, 'mnist': {'data.source': 'mnist'}}


def get_config(variant=''):
  sweep = (('model.widths', tuple((width, width) for width in WIDTHS)), (('transforms', 'hyper.lr'), ARMS))
  return merge(DIGITS, {'sweep': sweep}, VARIANTS[variant])
