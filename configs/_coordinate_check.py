"""What the configs of the coordinate check share: digits, full batch, a few steps, no biases, SGD and Adam each at a rate."""

STEPS = 8

DIGITS = dict(
  data=dict(name='images', source='digits', train=256, test=64),
  init=dict(name='gaussian'),
  loss=dict(name='cross_entropy'),
  optimizer=dict(name='sgd'),
  hyper=dict(lr=0.02),
  seeds=tuple(range(200, 208)),
  layout='map',
  steps=STEPS,
  schedule=dict(stride=1),
)


def under(sgd: float, adam: float) -> tuple:
  """A sweep over optimizers, each at its rate."""
  return (('optimizer.name', 'hyper.lr'), (('sgd', sgd), ('adam', adam)))
