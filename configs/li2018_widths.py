"""arXiv 1804.08838, figure 3: accuracy by subspace dimension, dense networks of six widths and two depths.

Command: python -m experiments.run --config=configs/li2018_widths.py
Run time: 3 minutes on one core.
Expected: the curves of all networks nearly coincide, although the largest has 32 times the weights of the smallest.
"""

from configs._li2018 import DIGITS, THREE, VARIANTS, WIDTHS, subspace
from configs._merge import merge

DIMENSIONS = (40.0, 57.0, 80.0, 113.0, 160.0, 226.0, 320.0)
MORE = (452.0, 640.0, 905.0, 1280.0, 1810.0)  # of 28 x 28 pixels


def get_config(variant=''):
  dimensions = MORE if variant == 'mnist' else DIMENSIONS
  sweep = (('model.widths', THREE if variant else WIDTHS), ('hyper.dimension', dimensions))
  return merge(DIGITS, subspace(int(dimensions[-1])), {'sweep': sweep}, VARIANTS[variant])
