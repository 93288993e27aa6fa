"""arXiv 2301.13703, figure 1: the test error in the plane of alpha and temperature, 256 digits.

Command: python -m experiments.run --config=configs/sclocchi2023_phases.py
Run time: 1 minute on one core.
Expected: below a line alpha T = 1 nothing depends on T; along and above it the weights change more, for every alpha.
"""

from configs._sclocchi2023 import digits


def get_config():
  alphas = tuple(4.0**k for k in range(-2, 5))
  temperatures = (2.0**-6, 2.0**-4, 2.0**-2, 1.0, 2.0, 4.0)
  return digits(alphas, temperatures, steps=5000, data=dict(name='images', train=256))
