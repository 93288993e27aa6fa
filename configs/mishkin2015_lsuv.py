"""arXiv 1511.06422, algorithm 1: orthonormal weights, each divided by the standard deviation of what its layer gives on the data.

Command: python -m experiments.run --config=configs/mishkin2015_lsuv.py
Run time: 2 minutes on one core.
Expected: the preactivations of all 30 layers have a standard deviation between 0.9 and 1.1, and the network learns the digits.

The source trains convolutional networks on CIFAR-10 and MNIST; 30 dense layers of 64 on digits, the rates and 1,000 steps are
ours. Seeds 200 and up judge. Variants: tanh, gelu, the 28 x 28 digits.
"""

from configs._merge import merge
from configs._mishkin2015 import DEEP, RATES, VARIANTS


def get_config(variant=''):
  return merge(DEEP, {'init.name': 'lsuv', 'sweep': (('hyper.lr', RATES),)}, VARIANTS[variant])
