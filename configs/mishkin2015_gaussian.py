"""arXiv 1511.06422, sections 1 and 3: what the layer-sequential unit variance is compared to, Gaussian weights of two sizes.

Command: python -m experiments.run --config=configs/mishkin2015_gaussian.py
Run time: 4 minutes on one core.
Expected: with the standard deviation 1/sqrt(fan_in) the signal dies on its way through 30 layers of relu; with 0.01 it is gone
after a few, and the loss stays at that of guessing.

As `mishkin2015_lsuv`. init_scale is in units of 1/sqrt(64): 0.08 is the standard deviation 0.01 in all layers of 64.
"""

from configs._merge import merge
from configs._mishkin2015 import DEEP, RATES, VARIANTS

SCALES = (1.0, 0.08)


def get_config(variant=''):
  sweep = (('hyper.init_scale', SCALES), ('hyper.lr', RATES))
  return merge(DEEP, {'init.name': 'gaussian', 'sweep': sweep}, VARIANTS[variant])
