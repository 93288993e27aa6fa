"""arXiv 1602.07868, section 2.1 and figure 1: weight normalisation at learning rates over 14 octaves.

Command: python -m experiments.run --config=configs/salimans2016_rates.py
Run time: 1 minute on one core.
Expected: the norm of v grows at large rates, so that more of them work than without (salimans2016_plain.py).

v starts as short as in the paper, and as long as w. Variants: `mnist` (28 x 28), `tanh`, `deep` (six hidden layers), `adam` (the
paper's optimizer, at rates of its own).
"""

from configs._merge import merge
from configs._salimans2016 import ADAM, ADAM_RATES, DIGITS, RATES, SETTINGS, SHORT, TANH_RATES

SCALES = (SHORT, 1.0)


def sweep(rates):
  return {'sweep': (('hyper.direction_scale', SCALES), ('hyper.lr', rates))}


VARIANTS = {**SETTINGS, 'tanh': {**SETTINGS['tanh'], **sweep(TANH_RATES)}, 'adam': {**ADAM, **sweep(ADAM_RATES)}}
ENDS = dict(schedule=dict(log_points=0, at=(0,)))


def get_config(variant=''):
  return merge(DIGITS, {'probes': dict(performance=dict(), norms=ENDS), **sweep(RATES)}, VARIANTS[variant])
