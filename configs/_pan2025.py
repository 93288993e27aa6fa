"""The inits, learning rates and variants of the residual networks of arXiv 2503.04626."""

INITS = {
  'IDInit': ('padded_identity', 1.0),
  'Kaiming': ('gaussian', 2**0.5),
  'zero branches': ('zero_branches', 2**0.5),
  'ZerO': ('hadamard', 1.0),
}
RATES = (0.003, 0.01, 0.03, 0.1)
SEEDS = tuple(range(200, 208))


def rates(*each):
  return {'sweep': ((('init.name', 'hyper.init_scale'), tuple(INITS.values())), ('hyper.lr', each))}


VARIANTS = {
  '': {},
  'plain': {'seeds': SEEDS[:5], 'model.norm': 'none', **rates(0.0003, 0.001, 0.003, 0.01)},
  'tanh': {'seeds': SEEDS[:5], 'model.activation': 'tanh'},
  'mnist': {'seeds': SEEDS[:5], 'data': dict(name='images', source='mnist', train=500, test=200)},
}
