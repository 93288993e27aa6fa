"""arXiv 1804.08838, figure 3: the same networks with all weights free.

Command: python -m experiments.run --config=configs/li2018_widths_full.py
Run time: 1 minute on one core.
Expected: 94% to 98% on the test digits.
"""

from configs._li2018 import DIGITS, THREE, VARIANTS, WIDTHS
from configs._merge import merge


def get_config(variant=''):
  return merge(DIGITS, {'sweep': (('model.widths', THREE if variant else WIDTHS),)}, VARIANTS[variant])
