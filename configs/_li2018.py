"""What the configs of arXiv 1804.08838 share: digits, Adam, and either all weights or a random subspace of them.

The intrinsic dimension d_int90 is the smallest dimension at which a network reaches 90% of what the same network reaches with
all its weights free. The paper has MNIST; ours are 8 x 8 digits. The projection is the structured one of `dynamics.subspace`
throughout, and learning rates (0.1 for coordinates, 0.003 for weights, both down to 0 by a cosine) are ours. Seeds 100 and up
judge; below 100 were for tuning. Each seed draws its own split, start and projection.
"""

import ml_collections

WIDTHS = ((12,), (25,), (50,), (100,), (200,), (384,), (50, 50), (100, 100))  # 910 to 28,810 weights
CONV = dict(name='conv', channels=(8, 16, 16), strides=(1, 2, 2))
PIXELS = dict(
  model=CONV,
  data=dict(name='shuffled', flat=False, pixels='kept', train=1437, test=360),
  batch=dict(size=64, draw='epochs'),
  layout='map',
  seeds=tuple(range(100, 108)),
  steps=400,
)
LABELS = dict(
  model=dict(name='mlp', widths=(100,), activation='relu'),
  data=dict(name='images', source='digits', train=300, test=360),
  batch=dict(size=100, draw='epochs'),
  steps=1500,
)


def digits(lr=0.003, **changes):
  """All weights free; with some fields or whole blocks changed or added."""
  common = dict(
    data=dict(name='images', source='digits', train=1437, test=360),
    model=dict(name='mlp', widths=(50,), activation='relu'),
    loss=dict(name='cross_entropy'),
    optimizer=dict(name='adam', schedule='cosine'),
    batch=dict(size=128, draw='epochs'),
    hyper=dict(lr=lr),
    seeds=(100, 101, 102, 103, 104),
    own_data=True,
    schedule=dict(log_points=0, linear_points=4),
    probes=dict(performance=dict()),
    steps=500,
  )
  return ml_collections.ConfigDict({**common, **changes})


def subspace(dimensions, lr=0.1, **changes):
  """The same in random subspaces of these dimensions, all one program."""
  sweep = (*changes.pop('sweep', ()), ('hyper.dimension', tuple(float(d) for d in dimensions)))
  most = max(dimensions)
  config = digits(lr, subspace=dict(most=most, kind='hadamard'), sweep=sweep, **changes)
  config.hyper.dimension = float(most)
  return config
