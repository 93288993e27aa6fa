"""arXiv 2310.08513: recurrent weights under Dale's law, at equal norm, on the delayed match, by the share of excitatory units.

Command: python -m experiments.run --config=configs/liu2023_dale.py
Run time: 1 minute on one core.
Expected: unsure; the signs leave the rank full but add one large singular value.
"""

from configs._liu2023 import rnn


def get_config():
  return rnn(
    data=dict(name='match_to_sample'),
    init=dict(law='dale', excitatory=0.8),
    sweep=(('init.excitatory', (0.5, 0.8)),),
  )
