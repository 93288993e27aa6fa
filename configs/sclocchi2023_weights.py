"""arXiv 2301.13703, weight change against temperature in the lazy regime, for one training set size: 128 digits, alpha = 64.

Command: python -m experiments.run --config=configs/sclocchi2023_weights.py
Run time: 1 minute on one core.
Expected: the relative change of the weights is the same for all small T, and grows as a power of T above alpha T = 1.

9,000 steps left one of 75 members of seeds 100 to 104 (the lowest T) with an example to fit. Variants: three hidden layers; MNIST
in place of the 8 x 8 digits; digits below five told from the others.
"""

from configs._merge import merge
from configs._sclocchi2023 import DIGITS, temperatures

TEMPERATURES = tuple(2.0**k for k in range(-13, 2))
FEWER = tuple(range(200, 208))
VARIANTS = {
  '': {},
  'deep': {'model.widths': (64, 64, 64), 'seeds': FEWER},
  'mnist': {'data.source': 'mnist', 'seeds': FEWER},
  'halves': {'data.labels': 'halves', 'seeds': FEWER},
}


def get_config(variant=''):
  return merge(DIGITS, {'steps': 24000, 'sweep': (temperatures((64.0,), TEMPERATURES),)}, VARIANTS[variant])
