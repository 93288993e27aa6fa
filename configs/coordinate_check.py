"""arXiv 2203.03466, appendix D.1: the coordinate check in width, of six parametrizations.

Command: python -m experiments.run --config=configs/coordinate_check.py:mup
Run time: 40 seconds on one core for each parametrization.
Expected: with mup, features and outputs change by the same amount at every width, under SGD and under Adam. With the standard
parametrization outputs change the more, and with ntk under SGD features the less, the wider the network.

Digits, full batch of 256, eight steps, no biases. Two hidden layers of relu; one for mean_field, and for depth_mup a residual
network of four blocks. Learning rates are ours, small enough that features change by a small share of their size.
Seeds 200 and up judge; others were used for tuning. Variants are the parametrizations; '' is none, which is the standard one.
"""

from configs._coordinate_check import DIGITS, under
from configs._merge import merge

WIDTHS = (64, 128, 256, 512, 1024)


def chain(layers: int) -> tuple:
  """A sweep over dense networks with so many hidden layers."""
  return ('model.widths', tuple((width,) * layers for width in WIDTHS))


USUAL = under(0.02, 0.0005)
RESIDUAL = dict(name='residual', depth=4, activation='relu', bias=False)
SWEEPS = {
  '': (USUAL, chain(2)),
  'ntk': (under(1.28, 0.004), chain(2)),
  'mean_field': (under(1.28, 0.03), chain(1)),
  'mup': (USUAL, chain(2)),
  'depth_mup': (USUAL, ('model.width', WIDTHS)),
  'u_mup': (under(0.2, 0.03), chain(2)),
}
VARIANTS = {name: {'sweep': sweep, **({'transforms': (dict(name=name),)} if name else {})} for name, sweep in SWEEPS.items()}
VARIANTS['depth_mup']['model'] = RESIDUAL


def get_config(variant=''):
  shared = {'model': dict(name='mlp', activation='relu', bias=False), 'probes': dict(coordinates=dict())}
  return merge(DIGITS, shared, VARIANTS[variant])
