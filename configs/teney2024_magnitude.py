"""arXiv 2403.02241, section 3: how fast the function of a random network turns, by the size of its weights and its activation.

Command: python -m experiments.run --config=configs/teney2024_magnitude.py
Run time: 1 minute on one core.
Expected: the mean frequency of relu networks stays near 1 to 2 cycles a turn at any size of the weights; that of tanh, Gaussians
and sines grows many times over.

Nothing is trained. Three hidden layers of 64 units on points of the plane, weights uniform in balls, biases uniform in [-1, 1].
The authors read a grid of the square, and draw weights from a uniform law; circles, balls and the range of the sizes are ours.
Variants: six hidden layers of half the width, eight inputs, the 28 x 28 digits.
"""

from configs._merge import merge
from configs._teney2024 import ACTIVATIONS, BANDS, MNIST, UNTRAINED

VARIANTS = {
  '': {},
  'deep': {'model.widths': (32,) * 6},
  'eight': {'data.inputs': 8},
  'mnist': MNIST,
}


def get_config(variant=''):
  sweep = {'sweep': (('model.activation', ACTIVATIONS), ('hyper.band', BANDS))}
  return merge(UNTRAINED, sweep, VARIANTS[variant])
