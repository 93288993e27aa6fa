"""arXiv 2203.03466, appendix D.1: the coordinate check in width, of six parametrizations.

Command: python -m experiments.run --config=configs/coordinate_check.py:mup
Run time: 40 seconds on one core for each parametrization.
Expected: with mup, features and outputs change by the same amount at every width, under SGD and under Adam. With the standard
parametrization they change the more, and with ntk under SGD features the less, the wider the network.

Digits, full batch of 256, eight steps, no biases. Two hidden layers of relu; one for mean_field, and for depth_mup a residual
network of four blocks. Learning rates are ours: at width 64 those of all parametrizations train a network about as fast.
Seeds 200 and up judge. Variants are the parametrizations; '' is none, which is the standard one.
"""

from configs._merge import merge

WIDTHS = (64, 128, 256, 512, 1024)
STEPS = 8


def chain(layers: int) -> tuple:
  """A sweep over dense networks with so many hidden layers."""
  return ('model.widths', tuple((width,) * layers for width in WIDTHS))


def under(sgd: float, adam: float) -> tuple:
  """A sweep over optimizers, each at its rate."""
  return (('optimizer.name', 'hyper.lr'), (('sgd', sgd), ('adam', adam)))


RESIDUAL = dict(name='residual', depth=4, activation='relu', bias=False)
VARIANTS = {
  '': {'sweep': (under(0.02, 0.0005), chain(2))},
  'ntk': {'sweep': (under(1.28, 0.004), chain(2)), 'transforms': (dict(name='ntk'),)},
  'mean_field': {'sweep': (under(1.28, 0.03), chain(1)), 'transforms': (dict(name='mean_field'),)},
  'mup': {'sweep': (under(0.02, 0.0005), chain(2)), 'transforms': (dict(name='mup'),)},
  'depth_mup': {
    'sweep': (under(0.02, 0.0005), ('model.width', WIDTHS)),
    'transforms': (dict(name='depth_mup'),),
    'model': RESIDUAL,
  },
  'u_mup': {'sweep': (under(0.02, 0.03), chain(2)), 'transforms': (dict(name='u_mup'),)},
}


def get_config(variant=''):
  return merge(
    dict(
      data=dict(name='images', source='digits', train=256, test=64),
      model=dict(name='mlp', activation='relu', bias=False),
      init=dict(name='gaussian'),
      loss=dict(name='cross_entropy'),
      optimizer=dict(name='sgd'),
      hyper=dict(lr=0.02),
      seeds=tuple(range(200, 208)),
      layout='map',
      steps=STEPS,
      schedule=dict(stride=1),
      probes=dict(coordinates=dict()),
    ),
    VARIANTS[variant],
  )
