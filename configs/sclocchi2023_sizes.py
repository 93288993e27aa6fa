"""arXiv 2301.13703, weight change against temperature in the lazy regime, for five training set sizes: digits, alpha = 64.

Command: python -m experiments.run --config=configs/sclocchi2023_sizes.py
Run time: 2 minutes on one core.
Expected: the temperature at which the network leaves the lazy regime falls with the size as a power law.

Variants: three hidden layers, which are lazy up to larger temperatures; digits below five told from the others.
"""

from configs._merge import merge
from configs._sclocchi2023 import DIGITS, temperatures

SIZES = ((64, 1500), (128, 3000), (256, 6000), (512, 13500), (1024, 30000))
FEWER = tuple(range(200, 208))


def sweep(low, high):
  """Temperatures from 2^low to below 2^high, by sizes."""
  return temperatures((64.0,), tuple(2.0**k for k in range(low, high))), (('data.train', 'steps'), SIZES)


VARIANTS = {
  '': {},
  'deep': {'model.widths': (64, 64, 64), 'seeds': FEWER, 'sweep': sweep(-8, 4)},
  'halves': {'data.labels': 'halves', 'seeds': FEWER},
}


def get_config(variant=''):
  return merge(DIGITS, {'steps': 1000, 'sweep': sweep(-10, 2)}, VARIANTS[variant])
