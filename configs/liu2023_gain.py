"""arXiv 2310.08513: rank against gain, the factor on the initial recurrent weights, on the two-alternative choice.

Command: python -m experiments.run --config=configs/liu2023_gain.py
Run time: 3 minutes on one core.
Expected: at every rank the kernel of the end is more like that of the start where the gain is larger.

Thirty seeds: ten others, 200 to 209, left it undecided at rank 1. They have no say any more.
"""

from configs._liu2023 import RNN, WIDTH
from configs._merge import merge

RANKS, GAINS = (1, 4, 16, WIDTH), (0.5, 1.0, 1.5)


def get_config():
  return merge(RNN, {'seeds': tuple(range(240, 270)), 'sweep': (('init.rank', RANKS), ('hyper.gain', GAINS))})
