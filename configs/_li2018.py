"""What the configs of arXiv 1804.08838 share: digits, Adam, and either all weights or a random subspace of them.

The intrinsic dimension d_int90 is the smallest dimension at which a network reaches 90% of what the same network reaches with
all its weights free. The paper has MNIST; ours are 8 x 8 digits. The projection is the structured one of
`dynamics.transforms.subspace` throughout, and learning rates (0.1 for coordinates, 0.003 for weights, both down to 0 by a cosine)
are ours. Seeds 100 and up judge, from 200 on what was registered anew; below 100 were
for tuning. Each seed draws its own split, start and projection.
"""

from configs._merge import Changes

WIDTHS = ((12,), (25,), (50,), (100,), (200,), (384,), (50, 50), (100, 100))  # 910 to 28,810 weights

DIGITS = dict(  # all weights free
  data=dict(name='images', source='digits', train=1437, test=360),
  model=dict(name='mlp', widths=(50,), activation='relu'),
  loss=dict(name='cross_entropy'),
  optimizer=dict(name='adam'),
  lr_schedule=dict(name='cosine'),
  batch=dict(size=128, draw='epochs'),
  hyper=dict(lr=0.003),
  seeds=(100, 101, 102, 103, 104),
  own_data=True,
  schedule=dict(log_points=0, linear_points=4),
  probes=dict(performance=dict()),
  steps=500,
)
PIXELS = {
  'model': dict(name='conv', channels=(8, 16, 16), strides=(1, 2, 2)),
  'data': dict(name='shuffled', flat=False, pixels='kept', train=1437, test=360),
  'batch.size': 64,
  'layout': 'map',
  'seeds': tuple(range(300, 364)),  # 200 to 215 left it undecided
  'steps': 400,
}
LABELS = {'model.widths': (100,), 'data.train': 300, 'batch.size': 100, 'steps': 1500}

THREE = ((12,), (25,), (50,))  # of variants
FRESH = tuple(range(200, 205))
VARIANTS = {
  '': {},
  'mnist': {'data.source': 'mnist', 'seeds': FRESH},
  'tanh': {'model.activation': 'tanh', 'seeds': FRESH},
}
PIXELS_VARIANTS = {
  '': {},
  'mnist': {'data.source': 'mnist', 'model.strides': (2, 2, 2), 'seeds': FRESH},
  'tanh': {'model.activation': 'tanh', 'seeds': FRESH},
}
LABELS_VARIANTS = {
  '': {},
  'narrow': {'model.widths': (50,), 'seeds': FRESH},
  'fewer': {'data.train': 150, 'batch.size': 50, 'seeds': FRESH},  # examples
}


def subspace(most: int) -> Changes:
  """The same in random subspaces of up to so many dimensions, which are swept as hyper.dimension, in one program."""
  return {'transforms': (dict(name='subspace', most=most),), 'hyper.lr': 0.1, 'hyper.dimension': float(most)}
