"""arXiv 2310.02244, section 1: feature diversity of a residual network of 64 blocks, with branches times 1/sqrt(L) and 1/L.

Command: python -m experiments.run --config=configs/yang2023_diversity.py
Run time: 30 seconds on one core.
Expected: after training, states g blocks apart differ as g^(1/2) with 1/sqrt(L), and as g with 1/L.

The learning rate is the best of configs/yang2023_rates.py on tuning seeds. Variants: abs, tanh, MNIST.
"""

from configs._merge import merge
from configs._yang2023 import DEPTH_MUP, DIGITS, ODE

GAPS = (1, 2, 4, 8, 16, 32)
VARIANTS = {
  '': {},
  'abs': {'model.activation': 'abs'},
  'tanh': {'model.activation': 'tanh'},
  'mnist': {'data.source': 'mnist'},
}


def get_config(variant=''):
  probes = dict(performance=dict(), diversity=dict(gaps=GAPS))
  return merge(DIGITS, {'hyper.lr': 2.0**-7, 'probes': probes, 'sweep': (('transforms', (DEPTH_MUP, ODE)),)}, VARIANTS[variant])
