"""arXiv 2310.08513: recurrent weights in diagonal blocks, at equal norm, on the delayed match; one block is a Gaussian matrix.

Command: python -m experiments.run --config=configs/liu2023_block.py
Run time: 1 minute on one core.
Expected: unsure; blocks leave the rank full.
"""

from configs._liu2023 import RNN, STRUCTURED, TRIALS
from configs._merge import merge

BLOCKS = (1, 4, 16)


def get_config():
  return merge(
    RNN,
    {
      'data': dict(name='match_to_sample', **TRIALS),
      'init': dict(name='block', blocks=1, where=STRUCTURED),
      'sweep': (('init.blocks', BLOCKS),),
    },
  )
