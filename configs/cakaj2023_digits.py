"""arXiv 2306.16993: few digits with labels in part wrong, learned with companded weights and with plain ones.

Command: python -m experiments.run --config=configs/cakaj2023_digits.py
Run time: 1 minute on one core.
Expected: companded weights have fewer entries near zero and shorter tails than plain ones.

The paper trains convolutional networks on CIFAR and Tiny ImageNet, with weight decay, and learns the constants of its function,
which is of the kind of ours. Each seed draws its own split. Seeds 0 to 9 were used for tuning, 200 and up judge. Variants:
`mnist` (28 x 28), `deep` (five hidden layers), `decay` (with weight decay in both arms).
"""

from configs._merge import merge

ON = 'transforms.weight_compander.on'
RATES = tuple(2.0**k for k in range(-11, -3))
SEEDS = tuple(range(200, 210))
FEW = {'seeds': SEEDS[:6]}
VARIANTS = {
  '': {},
  'mnist': {'data.source': 'mnist', **FEW},
  'deep': {'model.widths': (64,) * 5, **FEW},
  'decay': {'hyper.weight_decay': 0.001, **FEW},
}
STEPS = 1200


def get_config(variant=''):
  return merge(
    dict(
      data=dict(name='images', source='digits', train=300, test=1000),
      model=dict(name='mlp', widths=(64, 64, 64)),
      init=dict(name='gaussian'),
      transforms=(dict(name='weight_compander'),),
      loss=dict(name='cross_entropy'),
      optimizer=dict(name='momentum'),
      batch=dict(size=50, draw='epochs'),
      hyper=dict(lr=0.03, beta1=0.9, init_scale=2**0.5),
      steps=STEPS,
      seeds=SEEDS,
      own_data=True,
      schedule=dict(log_points=0, stride=STEPS // 10),
      probes=dict(performance=dict(), weight_shape=dict()),
      sweep=((ON, (False, True)), ('hyper.lr', RATES)),
    ),
    VARIANTS[variant],
  )
