"""The inits, sizes and variants of figure 3 of arXiv 2110.12661, and what its other configs take of them."""

INPUTS, CLASSES = 64, 10
RANDOM = ('gaussian', 2**0.5)
IDENTITY, HADAMARD, PADDED = (('identity', 1.0), ('hadamard', 1.0), ('padded_identity', 1.0))
SEEDS = tuple(range(200, 208))
FEWER = SEEDS[:5]
FIELDS = ('init.name', 'hyper.init_scale', 'model.widths')


def arms(width, *inits, inputs=INPUTS):
  return tuple((*init, (inputs, width, width)) for init in inits)


ALL = (RANDOM, IDENTITY, HADAMARD, PADDED)
VARIANTS = {
  '': {'sweep': ((FIELDS, (*arms(128, *ALL), *arms(256, *ALL), *arms(512, IDENTITY, HADAMARD))),)},
  'tanh': {'seeds': FEWER, 'model.activation': 'tanh', 'sweep': ((FIELDS, arms(256, *ALL)),)},
  'linear': {'seeds': FEWER, 'model.activation': 'identity', 'hyper.lr': 0.005, 'sweep': ((FIELDS, arms(256, *ALL)),)},
  'inputs40': {
    'seeds': FEWER,
    'data': dict(name='teacher', inputs=40, outputs=CLASSES, hidden=40, train=1000, test=1000, target='label'),
    'sweep': ((FIELDS, arms(256, *ALL, inputs=40)),),
  },
  'mnist': {'sweep': ((FIELDS, arms(1024, IDENTITY, HADAMARD, inputs=784)),)},
  'mnist_padded': {'sweep': ((FIELDS, arms(1024, PADDED, inputs=784)),)},
}
MNIST = {
  'seeds': FEWER,
  'data': dict(name='images', source='mnist', train=5000, test=1000),
  'steps': 300,
  'schedule': dict(log_points=0),
}
