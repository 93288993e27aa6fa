"""arXiv 2502.16763, right panel of figure 1: how often the signs of an ensemble's mean are right, by its size.

Command: python -m experiments.run --config=configs/giapitzakis2025_ensemble.py
Run time: 1 minute on one core.
Expected: 512 networks of width 1024 follow the curve of the infinite ones. No claim is judged by them.

All 26 unseen inputs of 5 bits count, each with all of its bits; the authors ask for inputs with two ones.
"""

from configs._giapitzakis2025 import PERMUTATION
from configs._merge import merge

WIDTH = 1024


def get_config():
  return merge(PERMUTATION, {'model.widths': (WIDTH,), 'seeds': tuple(range(200, 712))})
