"""arXiv 1804.08838, shuffled pixels: the convolutional network with all weights free.

Command: python -m experiments.run --config=configs/li2018_pixels_full.py
Run time: 1 minute on one core.
Expected: 97% to 98% on the test digits, a little less with shuffled pixels.
"""

from configs._li2018 import DIGITS, PIXELS, PIXELS_VARIANTS
from configs._merge import merge


def get_config(variant=''):
  return merge(DIGITS, PIXELS, {'sweep': (('data.pixels', ('kept', 'shuffled')),)}, PIXELS_VARIANTS[variant])
