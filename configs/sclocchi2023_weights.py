"""arXiv 2301.13703, weight change against temperature in the lazy regime, for one training set size: 128 digits, alpha = 64.

Command: python -m experiments.run --config=configs/sclocchi2023_weights.py
Run time: 1 minute on one core.
Expected: the relative change of the weights is the same for all small T, and grows as a power of T above alpha T = 1.

9,000 steps, as first run with the judging seeds, left one of 75 members (the lowest T of one seed) with an example to fit.
"""

from configs._merge import merge
from configs._sclocchi2023 import DIGITS, temperatures

TEMPERATURES = tuple(2.0**k for k in range(-13, 2))


def get_config():
  return merge(DIGITS, {'steps': 16000, 'sweep': (temperatures((64.0,), TEMPERATURES),)})
