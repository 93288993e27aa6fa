"""arXiv 2503.04626: whether training tells repeated units apart, by minibatches or full batches, and by what reads them.

Command: python -m experiments.run --config=configs/pan2025_copies.py
Run time: 1 minute on one core.
Expected: of 64 - 64 - 128 - 128 - 10 copies i and i + 64 are read by different outputs, and come apart with full batches too. Of
64 - 60 - 120 - 120 - 10 copies i and i + 60 are read by the same output: no gradient tells them apart, of full batches or not.

Starts are repeated identities (IDI) without biases, on 8 x 8 digits. Sizes, steps and learning rate are ours. Variants: tanh;
MNIST, with 64 and 60 units after its 784 inputs; momentum 0.9.
"""

from configs._merge import merge

READ_APART, READ_ALIKE = (64, 128, 128), (60, 120, 120)  # 64 is no multiple of ten classes, and 60 is one
FULL, MINI = 0, 50  # examples of a batch
SEEDS = tuple(range(200, 208))
VARIANTS = {
  '': {},
  'tanh': {'seeds': SEEDS[:5], 'model.activation': 'tanh'},
  'momentum': {'seeds': SEEDS[:5], 'hyper.beta1': 0.9, 'hyper.lr': 0.005},
  'mnist': {'seeds': SEEDS[:5], 'data': dict(name='images', source='mnist', train=1000, test=1000), 'hyper.lr': 0.005},
}


def get_config(variant=''):
  return merge(
    dict(
      data=dict(name='images', source='digits', train=1000, test=700),
      model=dict(name='mlp', widths=READ_APART, activation='relu', bias=False),
      init=dict(name='padded_identity'),
      loss=dict(name='cross_entropy'),
      optimizer=dict(name='momentum'),
      hyper=dict(lr=0.02, beta1=0.0),
      batch=dict(size=MINI),
      steps=300,
      seeds=SEEDS,
      own_data=True,
      layout='map',
      schedule=dict(log_points=0, linear_points=10),
      probes=dict(performance=dict(), twins=dict()),
      sweep=(('model.widths', (READ_APART, READ_ALIKE)), ('batch.size', (FULL, MINI))),
    ),
    VARIANTS[variant],
  )
