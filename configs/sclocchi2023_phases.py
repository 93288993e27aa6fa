"""arXiv 2301.13703, figure 1: the test error in the plane of alpha and temperature, 256 digits.

Command: python -m experiments.run --config=configs/sclocchi2023_phases.py
Run time: 1 minute on one core.
Expected: below a line alpha T = 1 nothing depends on T; along and above it the weights change more, for every alpha.
"""

from configs._merge import merge
from configs._sclocchi2023 import DIGITS, temperatures

ALPHAS = tuple(4.0**k for k in range(-2, 5))
TEMPERATURES = (2.0**-6, 2.0**-4, 2.0**-2, 1.0, 2.0, 4.0)


def get_config():
  return merge(DIGITS, {'data.train': 256, 'steps': 5000, 'sweep': (temperatures(ALPHAS, TEMPERATURES),)})
