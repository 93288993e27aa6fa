"""arXiv 1704.08863, section 4: a deep sigmoid network trains with weights of standard deviation 3.6/sqrt(N), not with 1/sqrt(N).

Command: python -m experiments.run --config=configs/kumar2017_sigmoid.py
Run time: 1 minute on one core.
Expected: ten layers of sigmoids reach 90% training accuracy at some learning rate with the recommended weights, and stay at
chance at all of them with those of variance 1/N.

The source trains convolutional networks on CIFAR-10; dense layers on digits are ours, as are the rates and the 1,500 steps. Seeds
200 and up judge. Variants: half the width, six layers, the 28 x 28 digits.
"""

from configs._merge import merge

LAYERS, STEPS = 10, 1500
RATES = (0.01, 0.03, 0.1, 0.3)
SEEDS = tuple(range(200, 210))
VARIANTS = {
  '': {},
  'narrow': {'model.widths': (50,) * LAYERS},
  'six': {'model.widths': (100,) * 6},
  'mnist': {'data.source': 'mnist'},
}
INITS = (dict(name='recommended', activation='sigmoid'), dict(name='gaussian'))


def get_config(variant=''):
  return merge(
    dict(
      data=dict(name='images', source='digits', train=1000, test=200),
      model=dict(name='mlp', widths=(100,) * LAYERS, activation='sigmoid'),
      loss=dict(name='cross_entropy'),
      optimizer=dict(name='momentum'),
      hyper=dict(lr=RATES[0]),
      batch=dict(size=64),
      steps=STEPS,
      seeds=SEEDS,
      layout='map',
      schedule=dict(log_points=12),
      probes=dict(performance=dict()),
      sweep=(('init', INITS), ('hyper.lr', RATES)),
    ),
    VARIANTS[variant],
  )
