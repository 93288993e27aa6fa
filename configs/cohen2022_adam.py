"""arXiv 2207.14484, figures 1 and 2: the largest eigenvalue of the preconditioned Hessian during full-batch Adam.

Command: python -m experiments.run --config=configs/cohen2022_adam.py
Run time: 8 minutes on two cores.
Expected: it rises to (2 + 2 beta1) / ((1 - beta1) lr), 38 / lr for beta1 = 0.9 and 2 / lr without momentum, and stays there.
Variants, for beta1 = 0.9: relu; MNIST.
"""

from configs._cohen2021 import DIGITS, FRESH
from configs._merge import merge

RATES, STEPS = (5e-4, 1e-3), 7000
MOMENTA = (0.0, 0.5, 0.9)
AUTHORS = {**FRESH, 'sweep': (('hyper.lr', RATES), ('hyper.beta1', (0.9,)))}  # the momentum of the paper alone
MNIST = {'data.source': 'mnist', 'data.train': 250, 'probes.sharpness.examples': 250}
VARIANTS = {'': {}, 'relu': {**AUTHORS, 'model.activation': 'relu'}, 'mnist': {**AUTHORS, **MNIST}}


def get_config(variant=''):
  return merge(
    DIGITS,
    {
      'optimizer.name': 'adam',
      'hyper': dict(lr=1e-4, beta1=0.9, beta2=0.999, eps=1e-7),
      'steps': STEPS,
      'schedule.linear_points': 60,
      'sweep': (('hyper.lr', RATES), ('hyper.beta1', MOMENTA)),
    },
    VARIANTS[variant],
  )
