"""arXiv 1804.08838, shuffled pixels: accuracy by subspace dimension, a convolutional network on digits as they are or shuffled.

Command: python -m experiments.run --config=configs/li2018_pixels.py
Run time: 2 minutes on one core.
Expected: with shuffled pixels a larger dimension is needed. On 8 x 8 digits the difference is small.

The paper has LeNet on MNIST; this network has 8, 16 and 16 channels, strides 1, 2 and 2, and one dense layer.
"""

from configs._li2018 import PIXELS, subspace


def get_config():
  return subspace((80, 113, 160, 226, 320), sweep=(('data.pixels', ('kept', 'shuffled')),), **PIXELS)
