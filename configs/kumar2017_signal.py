"""arXiv 1704.08863, section 3: through 20 layers of relu, the variance 2/N keeps the signal and 1/N halves it at every layer.

Command: python -m experiments.run --config=configs/kumar2017_signal.py
Run time: 20 seconds on one core.
Expected: the mean square of activations in layer 20 over that in layer 1 is about 1 with the recommended weights, and about 2^-19
with those of variance 1/N.

Only the start is read. Seeds 200 and up judge. Variants: width 128, the 28 x 28 digits, gelu, whose slope at 0 is 1/2.
"""

from configs._merge import merge

LAYERS = 20
SEEDS = tuple(range(200, 210))
VARIANTS = {
  '': {},
  'narrow': {'model.widths': (128,) * LAYERS},
  'mnist': {'data': dict(name='images', source='mnist', train=256, test=64)},
}
INITS = (dict(name='recommended'), dict(name='gaussian'))


def get_config(variant=''):
  return merge(
    dict(
      data=dict(name='images', source='digits', train=256, test=64),
      model=dict(name='mlp', widths=(256,) * LAYERS, activation='relu'),
      loss=dict(name='cross_entropy'),
      optimizer=dict(name='sgd'),
      hyper=dict(lr=0.1),
      steps=1,
      seeds=SEEDS,
      layout='map',
      schedule=dict(log_points=0, at=(0,), end=False),
      probes=dict(activations=dict()),
      sweep=(('init', INITS),),
    ),
    VARIANTS[variant],
  )
