"""What the configs of arXiv 1705.08741 share: digits, 128-128 hidden units, plain stochastic gradient descent.

The paper trains convolutional networks with momentum on MNIST, CIFAR and ImageNet; the sizes and rates here are ours. Each seed
draws its own split and noise. Seeds 0 to 9 were used for tuning, 200 and up judge.
"""

RATE = 0.1  # of the small batch
NOISES = (0.0, 0.2)  # shares of wrong labels

DIGITS = dict(  # for batches of 32
  data=dict(name='images', source='digits', train=1400, test=397),
  model=dict(name='mlp', widths=(128, 128)),
  loss=dict(name='cross_entropy'),
  optimizer=dict(name='sgd'),
  batch=dict(size=32, draw='epochs'),
  hyper=dict(lr=RATE, label_noise=0.0),
  steps=2000,
  seeds=tuple(range(200, 208)),
  own_data=True,
  schedule=dict(log_points=48),
  probes=dict(performance=dict(), distance=dict(leaves=False), path=dict()),
)


def scaled(batch: int, small: int) -> float:
  """The paper's rule: the learning rate grows as the square root of the batch."""
  return RATE * (batch / small) ** 0.5
