"""arXiv 2103.00065, figures 1 and 5: the largest eigenvalue of the Hessian during gradient descent, for four learning rates.

Command: python -m experiments.run --config=configs/cohen2021_descent.py
Run time: 4 minutes on two cores.
Expected: it rises to 2 / lr and stays there, while the loss falls, though not at every step. Variants: gelu; MNIST.
"""

from configs._cohen2021 import DIGITS, FRESH
from configs._merge import merge

RATES, STEPS = (0.1, 0.15, 0.2, 0.3), 5000
MNIST = {'data.source': 'mnist', 'data.train': 250, 'probes.sharpness.examples': 250}  # 28 x 28: larger inputs, larger sharpness
VARIANTS = {'': {}, 'gelu': {**FRESH, 'model.activation': 'gelu'}, 'mnist': {**FRESH, **MNIST}}


def get_config(variant=''):
  return merge(
    DIGITS,
    {'optimizer.name': 'sgd', 'hyper': dict(lr=0.1, init_scale=0.5), 'steps': STEPS, 'sweep': (('hyper.lr', RATES),)},
    VARIANTS[variant],
  )
