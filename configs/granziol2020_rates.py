"""arXiv 2006.09092, figures of the largest learning rate by batch size: a grid of constant rates, SGD.

Command: python -m experiments.run --config=configs/granziol2020_rates.py
Run time: 5 minutes on two cores beside other jobs.
Expected: the largest rate that does not diverge grows from 0.5 at B = 8 to 2.4 at B = 256, and no more beyond.

19 rates, a factor 2^(1/4) apart, each for 200 steps at each of eight batch sizes.
"""

from configs._granziol2020 import DIGITS, SIZES, powers
from configs._merge import merge


def get_config():
  return merge(
    DIGITS,
    {'optimizer.name': 'sgd', 'hyper.lr': 0.1, 'sweep': (('batch.size', SIZES), ('hyper.lr', powers(-2.5, 2.0)))},
  )
