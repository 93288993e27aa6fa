"""arXiv 2201.02177, figures 1 and 2: memorising, then generalising, by weight decay, on a + b mod 59.

Command: python -m experiments.run --config=configs/power2022_decay.py
Run time: 2 minutes on one core.
Expected: 95% of the training set within 100 steps; 95% of the test set at least ten times later with weight decay 1.0, another
four times later (or not at all) with 0.3, and not at all with 0.1 and 0.0. a^2 + a b + b^2 is memorised alone, at any decay.

The authors train a two-layer transformer on half of a table mod 97, for 100,000 steps and more, and compare weight decay 0
with 1. A small bias-free MLP and a smaller table make the delay cheap enough for twenty runs; lr 0.005, the widths and the
values between 0 and 1 are ours, beta2 0.98 is theirs. Seeds 200 and up judge; others were used for tuning. Variants: other
operations, a smaller table.
"""

from configs._merge import merge

P = 59
DECAYS = (0.0, 0.1, 0.3, 1.0)
SEEDS = tuple(range(200, 210))
VARIANTS = {
  '': {'seeds': SEEDS},
  'subtract': {'seeds': SEEDS[:5], 'data.operation': 'subtract'},
  'quadratic': {'seeds': SEEDS[:5], 'data.operation': 'quadratic'},
  'mod43': {'seeds': SEEDS[:5], 'data.p': 43},
}


def get_config(variant=''):
  return merge(
    dict(
      data=dict(name='modular', operation='add', p=P, train_fraction=0.5),
      model=dict(name='mlp', widths=(96, 96), activation='relu', bias=False),
      init=dict(name='uniform'),
      loss=dict(name='cross_entropy', dtype='float32'),
      optimizer=dict(name='adamw'),
      hyper=dict(lr=0.005, beta1=0.9, beta2=0.98, init_scale=3**-0.5),
      steps=5000,
      own_data=True,
      layout='map',
      schedule=dict(log_points=32, linear_points=50),
      probes=dict(performance=dict()),
      sweep=(('hyper.weight_decay', DECAYS),),
    ),
    VARIANTS[variant],
  )
