"""arXiv 1804.08838, shuffled pixels: accuracy by subspace dimension, a convolutional network on digits as they are or shuffled.

Command: python -m experiments.run --config=configs/li2018_pixels.py
Run time: 2 minutes on one core.
Expected: with shuffled pixels a larger dimension is needed. On 8 x 8 digits the difference is small.

The paper has LeNet on MNIST; this network has 8, 16 and 16 channels, strides 1, 2 and 2, and one dense layer.
"""

from configs._li2018 import DIGITS, PIXELS, subspace
from configs._merge import merge

DIMENSIONS = (80.0, 113.0, 160.0, 226.0, 320.0)


def get_config():
  sweep = (('data.pixels', ('kept', 'shuffled')), ('hyper.dimension', DIMENSIONS))
  return merge(DIGITS, PIXELS, subspace(320), {'sweep': sweep})
