"""What the configs of Teney et al. 2024 share: untrained networks with random biases, read along circles of inputs."""

SEEDS = tuple(range(200, 210))
BANDS = (1.0, 2.0, 4.0, 8.0, 16.0)  # of the weights, 1 near the usual start; biases are uniform in [-1, 1]
DEPTHS = (2, 4, 8)  # hidden layers
DEPTH_BANDS = (1.0, 2.0, 4.0)
ACTIVATIONS = ('relu', 'gelu', 'tanh', 'selu', 'gaussian', 'sine')

UNTRAINED = dict(
  data=dict(name='sphere', inputs=2, target='noise', train=32),
  model=dict(name='mlp', widths=(64,) * 3),
  init=dict(name='bandlimited'),
  loss=dict(name='mean_squared_error'),
  optimizer=dict(name='sgd'),
  hyper=dict(lr=0.1, bias_band=1.0),
  steps=1,
  seeds=SEEDS,
  own_data=True,
  schedule=dict(log_points=0, at=(0,), end=False),
  probes=dict(complexity=dict(circles=16, points=128)),
)
MNIST = {'data': dict(name='images', source='mnist', train=64, test=16), 'loss': dict(name='cross_entropy')}
