"""arXiv 1804.08838, random labels: training accuracy by subspace dimension, 300 digits with their own or with random labels.

Command: python -m experiments.run --config=configs/li2018_labels.py
Run time: 1 minute on one core.
Expected: random labels need several times the dimension.

`label_noise` 1 draws every training label anew from the ten classes.
"""

from configs._li2018 import DIGITS, LABELS, LABELS_VARIANTS, subspace
from configs._merge import merge

DIMENSIONS = (40.0, 57.0, 80.0, 113.0, 160.0, 226.0, 320.0, 452.0, 640.0)


def get_config(variant=''):
  sweep = (('hyper.label_noise', (0.0, 1.0)), ('hyper.dimension', DIMENSIONS))
  return merge(DIGITS, LABELS, subspace(640), {'sweep': sweep}, LABELS_VARIANTS[variant])
