"""arXiv 1804.08838, shuffled pixels: accuracy by subspace dimension, a convolutional network on digits as they are or shuffled.

Command: python -m experiments.run --config=configs/li2018_pixels.py
Run time: 4 minutes on one core.
Expected: with shuffled pixels a larger dimension is needed. On 8 x 8 digits the difference is small.

The paper has LeNet on MNIST; this network has 8, 16 and 16 channels, strides 1, 2 and 2, and one dense layer.
"""

from configs._li2018 import DIGITS, PIXELS, PIXELS_VARIANTS, subspace
from configs._merge import merge

DIMENSIONS = (80.0, 113.0, 160.0, 226.0, 320.0)
MORE = (113.0, 226.0, 452.0, 905.0, 1810.0)  # of 28 x 28 pixels


def get_config(variant=''):
  dimensions = MORE if variant == 'mnist' else DIMENSIONS
  sweep = (('data.pixels', ('kept', 'shuffled')), ('hyper.dimension', dimensions))
  return merge(DIGITS, PIXELS, subspace(int(dimensions[-1])), {'sweep': sweep}, PIXELS_VARIANTS[variant])
