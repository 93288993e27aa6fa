"""What the configs of arXiv 2502.16763 share: a permutation of five bits, trained on its single bits by full-batch descent."""

BITS = 5


def unseen(bits: int) -> int:
  """How many inputs have two ones or more."""
  return 2**bits - 1 - bits


PERMUTATION = dict(
  data=dict(name='permutation', bits=BITS),
  model=dict(name='mlp', activation='relu', bias=False),
  init=dict(name='gaussian'),
  transforms=(dict(name='ntk'),),
  loss=dict(name='mean_squared_error'),
  optimizer=dict(name='sgd'),
  hyper=dict(lr=10.0),
  steps=300,
  schedule=dict(log_points=0),
  probes=dict(performance=dict(), predictions=dict(examples=unseen(BITS))),  # all inputs that were not seen
)
