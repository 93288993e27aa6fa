"""arXiv 1804.08838, figure 3: accuracy by subspace dimension, dense networks of six widths and two depths.

Command: python -m experiments.run --config=configs/li2018_widths.py
Run time: 3 minutes on one core.
Expected: the curves of all networks nearly coincide, although the largest has 32 times the weights of the smallest.
"""

from configs._li2018 import WIDTHS, subspace


def get_config():
  return subspace((40, 57, 80, 113, 160, 226, 320), sweep=(('model.widths', WIDTHS),))
