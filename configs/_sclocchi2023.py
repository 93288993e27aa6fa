"""What the configs of arXiv 2301.13703 share: digits told odd from even by a network whose change alpha (f(w) - f(w0)) is fitted.

The paper's loss is the mean of max(0, 1 - y F) / alpha at learning rate eta. Ours has no 1 / alpha, so hyper.lr = eta / alpha =
T B / alpha, with T = eta / B the temperature and B the batch: all sweeps are over pairs (alpha, lr). Where the network is lazy,
only alpha T matters. The gradient of a fitted example is exactly zero, so a member that has fitted all stands still by itself.

Their networks are deep and learn MNIST and CIFAR10; ours has one hidden layer of 64 units and 8 x 8 digits. Seeds 200 and
up judge; others were used for tuning. Each seed draws its own training set.
"""

BATCH = 16

DIGITS = dict(
  data=dict(name='images', source='digits', labels='parity', train=128, test=500),
  model=dict(name='mlp', widths=(64,), activation='relu', bias=False),
  init=dict(name='gaussian'),
  transforms=(dict(name='ntk'), dict(name='centred'), dict(name='scaled')),
  loss=dict(name='hinge'),
  optimizer=dict(name='sgd'),
  batch=dict(size=BATCH, draw='epochs'),
  hyper=dict(lr=1.0, alpha=1.0),
  seeds=tuple(range(200, 212)),
  own_data=True,
  schedule=dict(log_points=8),
  probes=dict(performance=dict(), distance=dict(leaves=False), rest=dict()),
)
PERCEPTRON = dict(  # of the paper: a linear network whose labels the first input decides; here lr is eta
  data=dict(name='perceptron', inputs=16, chi=0, train=128, test=1000),
  model=dict(name='linear'),
  loss=dict(name='hinge'),
  optimizer=dict(name='sgd'),
  batch=dict(size=2, draw='epochs'),
  hyper=dict(lr=1.0, init_scale=0.01),
  seeds=tuple(range(200, 300)),
  own_data=True,
  schedule=dict(log_points=4),
  probes=dict(performance=dict(), signal=dict(), rest=dict()),
)


def temperatures(alphas: tuple[float, ...], values: tuple[float, ...]) -> tuple:
  """The part of a sweep over digits that has all pairs of alpha and T."""
  pairs = tuple((alpha, temperature * BATCH / alpha) for alpha in alphas for temperature in values)
  return ('hyper.alpha', 'hyper.lr'), pairs
