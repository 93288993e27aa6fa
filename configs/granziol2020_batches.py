"""arXiv 2006.09092, figures of batch spectra: the largest eigenvalue of the Hessian of minibatches by their size.

Command: python -m experiments.run --config=configs/granziol2020_batches.py
Run time: 2 minutes on two cores beside other jobs.
Expected: it falls as batches grow, in proportion to 1/B from B = 64 on, towards that of all 1,024 examples.

Networks after 100 steps at learning rate 0.1, batches of 32. Sampling with replacement, so that 1/B is the variance exactly.
Variants: `mnist` (28 x 28), `deep` (64-64 hidden units).
"""

from configs._granziol2020 import DIGITS, SIZES, TRAIN, VARIANTS
from configs._merge import merge

END = dict(log_points=0, stride=0)


def get_config(variant=''):
  return merge(
    DIGITS,
    {
      'optimizer.name': 'sgd',
      'hyper.lr': 0.1,
      'batch.size': 32,
      'steps': 100,
      'probes.batch_curvature': dict(examples=TRAIN, sizes=SIZES, draws=32, tolerance=1e-2, schedule=END),
    },
    VARIANTS[variant],
  )
