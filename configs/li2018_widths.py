"""arXiv 1804.08838, figure 3: accuracy by subspace dimension, dense networks of six widths and two depths.

Command: python -m experiments.run --config=configs/li2018_widths.py
Run time: 3 minutes on one core.
Expected: the curves of all networks nearly coincide, although the largest has 32 times the weights of the smallest.
"""

from configs._li2018 import DIGITS, WIDTHS, subspace
from configs._merge import merge

DIMENSIONS = (40.0, 57.0, 80.0, 113.0, 160.0, 226.0, 320.0)


def get_config():
  return merge(DIGITS, subspace(320), {'sweep': (('model.widths', WIDTHS), ('hyper.dimension', DIMENSIONS))})
