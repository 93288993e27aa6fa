"""What the configs of arXiv 1602.07868 share: digits, three hidden layers, the same start with weight normalisation and without.

The paper trains convolutional networks on CIFAR-10, and generative and recurrent ones, mostly with Adam. Sizes and rates here
are ours. All arms start at one function, that of the paper's data-dependent start, so they differ in what is trained alone: w,
or v and g of w = g v / |v|. Each seed draws its own split. Seeds 0 to 9 were used for tuning, 200 and up judge: the main
setting twice, with 200 to 207 and then with 220 to 227, because the first record stands at the commit of the intervals.
"""

SHORT = 0.2  # |v| / |w| at the start: v then has about 0.05 an entry, as the paper draws it
LEVEL = 0.99  # training accuracy at which a rate counts as one that works
FINE = tuple(range(20, 100, 2)) + tuple(range(100, 500, 20))  # steps at which training is looked at

DIGITS = dict(
  data=dict(name='images', source='digits', train=1000, test=100),
  model=dict(name='mlp', widths=(64, 64, 64)),
  init=dict(name='unit_normalised'),
  transforms=(dict(name='weight_norm'),),
  loss=dict(name='cross_entropy'),
  optimizer=dict(name='sgd'),
  batch=dict(size=50, draw='epochs'),
  hyper=dict(lr=0.1),
  steps=500,
  seeds=tuple(range(220, 228)),
  own_data=True,
  schedule=dict(log_points=0, at=FINE),
)

OCTAVE = 2  # rates an octave
octaves = lambda low, high: tuple(2.0 ** (k / OCTAVE) for k in range(OCTAVE * low, OCTAVE * high + 1))
RATES, TANH_RATES, ADAM_RATES = octaves(-13, 1), octaves(-11, 4), octaves(-16, -2)

FEW = {'seeds': tuple(range(200, 205))}
SETTINGS = {
  '': {},
  'mnist': {'data.source': 'mnist', **FEW},
  'deep': {'model.widths': (64,) * 6, **FEW},
  'tanh': {'model.activation': 'tanh', **FEW},
}
ADAM = {'optimizer': dict(name='adam'), **FEW}
