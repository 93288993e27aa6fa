"""arXiv 1804.08838, random labels: the same with all weights free.

Command: python -m experiments.run --config=configs/li2018_labels_full.py
Run time: 20 seconds on one core.
Expected: all 300 labels are fitted, random ones too.
"""

from configs._li2018 import DIGITS, LABELS, LABELS_VARIANTS
from configs._merge import merge


def get_config(variant=''):
  return merge(DIGITS, LABELS, {'sweep': (('hyper.label_noise', (0.0, 1.0)),)}, LABELS_VARIANTS[variant])
