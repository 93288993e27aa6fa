"""What the configs of Shi et al. 2021 share: deep relu networks at their start, and interval bounds of their layers."""

LAYERS, WIDTH = 10, 200
SEEDS = tuple(range(200, 208))
WIDTHS = (64, 128, 256, 512)
RATES = (0.01, 0.1, 1.0)
STEPS = 200

STARTED = dict(
  data=dict(name='images', source='digits', train=64, test=64),
  model=dict(name='mlp', widths=(WIDTH,) * LAYERS, bias=False),
  init=dict(name='recommended'),
  loss=dict(name='cross_entropy'),
  optimizer=dict(name='sgd'),
  hyper=dict(lr=0.1),
  steps=1,
  seeds=SEEDS,
  layout='map',
  schedule=dict(log_points=0, at=(0,), end=False),
  probes=dict(interval_bounds=dict(examples=16, radius=0.1), activations=dict(examples=16)),
)
