"""What the configs of arXiv 1903.10520 share: 8 x 8 digits, four convolutions, normalised layers, SGD on batches of two.

The paper trains residual networks on ImageNet and COCO with one or two images a device, with momentum. Each seed draws its own
split. Seeds 0 to 9 were used for tuning, 200 and up judge.
"""

ON = ('model.norm', 'transforms.weight_standardization.on')
ARMS = {'GN': ('group', False), 'GN+WS': ('group', True), 'BCN+WS': ('batch_channel', True)}
RATES = tuple(2.0**k for k in range(-9, -3))
MICRO = 2
EXAMPLES, EPOCHS = 1000, 2
STEPS = EXAMPLES * EPOCHS // MICRO

DIGITS = dict(
  data=dict(name='images', source='digits', train=EXAMPLES, test=700, flat=False),
  model=dict(name='normalised_conv', channels=(16, 16, 16, 16), strides=(1, 2, 1, 1), groups=4),
  init=dict(name='gaussian'),
  transforms=(dict(name='weight_standardization', readout=False),),
  loss=dict(name='cross_entropy'),
  optimizer=dict(name='momentum'),
  batch=dict(size=MICRO, draw='epochs'),
  hyper=dict(lr=0.01, beta1=0.9),
  steps=STEPS,
  seeds=tuple(range(200, 208)),
  own_data=True,
  layout='map',
)

FEW = {'seeds': tuple(range(200, 205))}
SETTINGS = {
  '': {},
  'mnist': {'data.source': 'mnist', 'model.strides': (2, 2, 2, 1), **FEW},
  'one': {'batch.size': 1, **FEW},
}
