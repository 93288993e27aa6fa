"""arXiv 1611.01232, figures 1 to 4: variance, correlation and gradients of random tanh networks, layer by layer.

Command: python -m experiments.run --config=configs/schoenholz2017_signal.py
Run time: 30 seconds on one core.
Expected: variance and correlation follow the maps of mean-field theory, and squared gradients grow by chi_1 a layer.

Only the start is read. Seeds 200 and up judge. Variants: half the width, the 28 x 28 digits.
"""

from configs._merge import merge

LAYERS = 20
WEIGHT_STDS = (0.8, 1.0, 1.2, 1.6, 2.2, 3.0)
BIAS_STDS = (0.2, 0.35, 0.5)
SEEDS = tuple(range(200, 216))
VARIANTS = {
  '': {},
  'narrow': {'model.widths': (100,) * LAYERS},
  'mnist': {'data': dict(name='images', source='mnist', train=64, test=64)},
}


def get_config(variant=''):
  return merge(
    dict(
      data=dict(name='images', source='digits', train=64, test=64),
      model=dict(name='mlp', widths=(200,) * LAYERS, activation='tanh'),
      init=dict(name='biased'),
      loss=dict(name='cross_entropy'),
      optimizer=dict(name='sgd'),
      hyper=dict(lr=0.1, init_scale=1.0, bias_std=0.1),
      steps=1,
      seeds=SEEDS,
      layout='map',
      schedule=dict(log_points=0, at=(0,), end=False),
      probes=dict(preactivations=dict(examples=16)),
      sweep=(('hyper.init_scale', WEIGHT_STDS), ('hyper.bias_std', BIAS_STDS)),
    ),
    VARIANTS[variant],
  )
