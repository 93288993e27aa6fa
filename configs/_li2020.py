"""What the configs of Li et al. 2020 share: a wave on [-1, 1], and random features whose output layer is fitted."""

SEEDS = tuple(range(200, 208))
BAND = 8.0  # of the hidden weights, in radians per unit of x
WITHIN, BEYOND = BAND / 4, BAND * 4  # frequencies of targets
WIDTHS = (8, 16, 32, 64, 128, 256, 512)
FREQUENCIES = (4.0, 8.0, 16.0, 32.0)
BANDS = tuple(2.0 ** (i / 2) for i in range(-2, 11))  # 1/2 to 32

FITTED = dict(
  data=dict(name='wave', inputs=1, train=256, test=256),
  model=dict(name='mlp', widths=(256,), activation='tanh'),
  init=dict(name='bandlimited'),
  loss=dict(name='mean_squared_error'),
  optimizer=dict(name='sgd'),
  hyper=dict(lr=0.1),
  steps=1,
  seeds=SEEDS,
  own_data=True,
  schedule=dict(log_points=0, at=(0,), end=False),
  probes=dict(random_features=dict(examples=256)),
)
ELSEWHERE = {'': {}, 'gaussian': {'model.activation': 'gaussian'}, 'sine': {'model.activation': 'sine'}}
