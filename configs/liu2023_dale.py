"""arXiv 2310.08513: recurrent weights under Dale's law, at equal norm, on the delayed match, by the share of excitatory units.

Command: python -m experiments.run --config=configs/liu2023_dale.py
Run time: 1 minute on one core.
Expected: unsure; the signs leave the rank full but add one large singular value.
"""

from configs._liu2023 import RNN, STRUCTURED, TRIALS
from configs._merge import merge

EXCITATORY = (0.5, 0.8)  # shares of excitatory units


def get_config():
  return merge(
    RNN,
    {
      'data': dict(name='match_to_sample', **TRIALS),
      'init': dict(name='dale', excitatory=0.8, where=STRUCTURED),
      'sweep': (('init.excitatory', EXCITATORY),),
    },
  )
