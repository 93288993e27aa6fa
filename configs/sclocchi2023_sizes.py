"""arXiv 2301.13703, weight change against temperature in the lazy regime, for five training set sizes: digits, alpha = 64.

Command: python -m experiments.run --config=configs/sclocchi2023_sizes.py
Run time: 2 minutes on one core.
Expected: the temperature at which the network leaves the lazy regime falls with the size as a power law.
"""

from configs._merge import merge
from configs._sclocchi2023 import DIGITS, temperatures

SIZES = ((64, 1000), (128, 2000), (256, 4000), (512, 9000), (1024, 20000))
TEMPERATURES = tuple(2.0**k for k in range(-10, 2))


def get_config():
  sweep = (temperatures((64.0,), TEMPERATURES), (('data.train', 'steps'), SIZES))
  return merge(DIGITS, {'steps': 1000, 'sweep': sweep})
