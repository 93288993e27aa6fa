"""arXiv 2503.04626, convergence of the identity: four square linear layers that learn y = -x, by full batches and by minibatches.

Command: python -m experiments.run --config=configs/pan2025_negative.py
Run time: 1 minute on one core.
Expected: with full batches all layers stay symmetric, and the loss ends where they are zero; with minibatches it falls to zero.

Eight inputs, whitened; the mean squared error. The target is that of arXiv 1802.06093, where gradient descent from the identity
is shown to fail. Sizes, batches, steps and learning rate are ours. Variants: one negative eigenvalue of eight; two of
eight that are -1/2 and -2; six layers; momentum 0.5.
"""

from configs._merge import merge

FULL, MINI = 0, 8  # examples of a batch
SEEDS = tuple(range(200, 208))
VARIANTS = {
  '': {},
  'one': {'seeds': SEEDS[:5], 'data.eigenvalues': (-1.0, *(1.0,) * 7)},
  'uneven': {'seeds': SEEDS[:5], 'data.eigenvalues': (-0.5, -2.0, *(1.0,) * 6)},
  'six': {'seeds': SEEDS[:5], 'model.widths': (8,) * 5, 'steps': 24000},
  'momentum': {'seeds': SEEDS[:5], 'hyper.beta1': 0.5},
}


def get_config(variant=''):
  return merge(
    dict(
      data=dict(name='symmetric_map', eigenvalues=(-1.0,) * 8, train=64),
      model=dict(name='linear', widths=(8, 8, 8)),
      init=dict(name='padded_identity'),
      loss=dict(name='mean_squared_error'),
      optimizer=dict(name='momentum'),
      hyper=dict(lr=0.02, beta1=0.0),
      batch=dict(size=MINI),
      steps=12000,
      seeds=SEEDS,
      own_data=True,
      schedule=dict(log_points=0, linear_points=60),
      probes=dict(performance=dict()),
      sweep=(('batch.size', (FULL, MINI)),),
    ),
    VARIANTS[variant],
  )
