"""What the configs of Mishkin and Matas share: 30 layers, digits, momentum, three learning rates.

The weights are fitted to 256 of the 1,000 examples, and their outputs are read on all.
"""

LAYERS, STEPS = 30, 1000
RATES = (0.001, 0.003, 0.01)
TANH = {'model.activation': 'tanh'}
VARIANTS = {
  '': {},
  'tanh': TANH,
  'gelu': {'model.activation': 'gelu'},
  'mnist': {'data.source': 'mnist'},
}

DEEP = dict(
  data=dict(name='images', source='digits', train=1000, test=200),
  model=dict(name='mlp', widths=(64,) * LAYERS, activation='relu'),
  loss=dict(name='cross_entropy'),
  optimizer=dict(name='momentum'),
  hyper=dict(lr=RATES[0]),
  batch=dict(size=64),
  steps=STEPS,
  seeds=tuple(range(200, 210)),
  layout='map',
  schedule=dict(log_points=10),
  probes=dict(performance=dict(), preactivations=dict(examples=1000, schedule=dict(at=(0,), log_points=0, end=False))),
)
