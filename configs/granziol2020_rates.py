"""arXiv 2006.09092, figures of the largest learning rate by batch size: a grid of constant rates, SGD.

Command: python -m experiments.run --config=configs/granziol2020_rates.py
Run time: 8 minutes on two cores beside other jobs.
Expected: the largest rate that does not diverge grows from 0.5 at B = 8 to 2.4 at B = 256, and no more beyond.

37 rates, a factor 2^(1/8) apart, each for 200 steps at each of eight batch sizes. Variants have batches of 8 to 64 alone; MNIST
has lower rates, because the lowest of the digits' diverges there at a batch of 8.
"""

from configs._granziol2020 import DIGITS, FRESH, SIZES, VARIANTS, powers
from configs._merge import merge


def get_config(variant=''):
  rates = powers(-4.5, 0.0, 8) if variant == 'mnist' else powers(-2.5, 2.0, 8)
  return merge(
    DIGITS,
    {
      'optimizer.name': 'sgd',
      'hyper.lr': 0.1,
      'seeds': FRESH,
      'sweep': (('batch.size', SIZES[:4] if variant else SIZES), ('hyper.lr', rates)),
    },
    VARIANTS[variant],
  )
