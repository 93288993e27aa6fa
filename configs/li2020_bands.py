"""arXiv 2008.08427: the band of hidden weights that random features need, by the frequency of their target.

Command: python -m experiments.run --config=configs/li2020_bands.py
Run time: 1 minute on one core.
Expected: the error of 256 random features falls from 1 to below 0.1 at a band that is proportional to the target's frequency.

The fits of li2020_widths at one width, and at a ridge that allows smaller coefficients (`bounded`).
Variants: Gaussians and sines for tanh.
"""

from configs._li2020 import BANDS, ELSEWHERE, FITTED, FREQUENCIES
from configs._merge import merge

VARIANTS = ELSEWHERE


def get_config(variant=''):
  pairs = tuple((band, band) for band in BANDS)
  changes = {
    'sweep': (('hyper.frequency', FREQUENCIES), (('hyper.band', 'hyper.bias_band'), pairs)),
    'probes.bounded': dict(name='random_features', examples=256, ridge=1e-6),
  }
  return merge(FITTED, changes, VARIANTS[variant])
