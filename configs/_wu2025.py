"""The shapes, rates and variants of arXiv 2506.00486."""

SHAPES, RATES = (0.5, 1.0, 2.0, 4.0), (0.0005, 0.001, 0.002)
LAPLACE, GAUSSIAN = 1.0, 2.0
FEWER = tuple(range(200, 208))


def sweep(rates=RATES):
  return (('hyper.nu', SHAPES), ('hyper.lr', rates))


VARIANTS = {
  '': {},
  'tanh': {'model.activation': 'tanh', 'hyper.init_scale': 1.0, 'seeds': FEWER},
  'decay': {'optimizer.name': 'adamw', 'hyper.weight_decay': 3.0, 'seeds': FEWER},
  'mnist': {'data': dict(name='images', source='mnist', train=1000, test=1000), 'steps': 200, 'seeds': FEWER},
  'decoder': {
    'data': dict(name='text', length=16, train=256, test=64),
    'model': dict(name='decoder', layers=2, width=32, heads=4),
    'objective': dict(name='next_token'),
    'hyper.init_scale': 1.0,
    'batch.size': 32,
    'sweep': sweep(tuple(8 * lr for lr in RATES)),
    'own_data': False,
    'steps': 300,
    'seeds': FEWER[:5],
  },
}
