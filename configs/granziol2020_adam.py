"""arXiv 2006.09092, figures of the largest learning rate by batch size: a grid of constant rates, Adam.

Command: python -m experiments.run --config=configs/granziol2020_adam.py
Run time: 5 minutes on two cores beside other jobs.
Expected: the largest rate that does not diverge grows as the square root of the batch, up to B = 64; beyond, slower.

25 rates, a factor 2^(1/4) apart, each for 200 steps at each of eight batch sizes.
"""

from configs._granziol2020 import DIGITS, FRESH, SIZES, powers
from configs._merge import merge


def get_config():
  return merge(
    DIGITS,
    {
      'optimizer.name': 'adam',
      'hyper.lr': 0.1,
      'seeds': FRESH,
      'sweep': (('batch.size', SIZES), ('hyper.lr', powers(-4.5, 1.5))),
    },
  )
