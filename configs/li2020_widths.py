"""arXiv 2008.08427: the error of random features by their number, of targets within and beyond the band of the hidden weights.

Command: python -m experiments.run --config=configs/li2020_widths.py
Run time: 1 minute on one core.
Expected: a wave slower than the band is fitted better with every feature; one four times faster is not fitted at any width, to
the bounded coefficients that the ridge allows.

Nothing is trained: hidden weights w and biases are uniform in [-8, 8], and the output layer is fitted by least squares with a
ridge of 1e-8 of the largest squared singular value. The authors bound the hidden weights alone; the ridge is ours.
Variants: Gaussians, sines and relu for tanh.
"""

from configs._li2020 import BAND, BEYOND, ELSEWHERE, FITTED, WIDTHS, WITHIN
from configs._merge import merge

VARIANTS = {**ELSEWHERE, 'relu': {'model.activation': 'relu'}}


def get_config(variant=''):
  sweep = (('model.widths', tuple((width,) for width in WIDTHS)), ('hyper.frequency', (WITHIN, BEYOND)))
  changes = {'hyper.band': BAND, 'hyper.bias_band': BAND, 'sweep': sweep}
  return merge(FITTED, changes, VARIANTS[variant])
