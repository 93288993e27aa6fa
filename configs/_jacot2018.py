"""What the configs of arXiv 1806.07572 share: points on a sphere, two hidden layers in the NTK parametrisation, full batch."""

SPHERE = dict(
  model=dict(name='mlp', activation='relu', bias=False),
  init=dict(name='gaussian'),
  transforms=(dict(name='ntk'),),
  loss=dict(name='mean_squared_error'),
  optimizer=dict(name='sgd'),
  seeds=tuple(range(200, 210)),
  layout='map',
)
