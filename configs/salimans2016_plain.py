"""arXiv 1602.07868, section 2.1 and figure 1: the runs of salimans2016_rates.py without weight normalisation.

Command: python -m experiments.run --config=configs/salimans2016_plain.py
Run time: 30 seconds on one core.
Expected: about six octaves of rates work, from 1/64 to 1/2.

The networks start at the same functions. Variants: `mnist` (28 x 28), `tanh`, `deep`, `adam`.
"""

from configs._merge import merge
from configs._salimans2016 import ADAM, ADAM_RATES, DIGITS, RATES, SETTINGS, TANH_RATES

VARIANTS = {
  **SETTINGS,
  'tanh': {**SETTINGS['tanh'], 'sweep': (('hyper.lr', TANH_RATES),)},
  'adam': {**ADAM, 'sweep': (('hyper.lr', ADAM_RATES),)},
}


def get_config(variant=''):
  return merge(
    DIGITS,
    {'transforms': (), 'probes': dict(performance=dict()), 'sweep': (('hyper.lr', RATES),)},
    VARIANTS[variant],
  )
