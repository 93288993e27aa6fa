"""arXiv 1804.08838, random labels: training accuracy by subspace dimension, 300 digits with their own or with random labels.

Command: python -m experiments.run --config=configs/li2018_labels.py
Run time: 1 minute on one core.
Expected: random labels need several times the dimension.

`label_noise` 1 draws every training label anew from the ten classes.
"""

from configs._li2018 import LABELS, subspace


def get_config():
  return subspace((40, 57, 80, 113, 160, 226, 320, 452, 640), sweep=(('hyper.label_noise', (0.0, 1.0)),), **LABELS)
