"""arXiv 2310.08513, figures 1 and 2: the rank of the initial recurrent weights and laziness at equal loss, on three tasks.

Command: python -m experiments.run --config=configs/liu2023_rank.py
Run time: 5 minutes on one core.
Expected: the higher the rank, the more the last kernel and features are like the first, and the less the recurrent weights move.
"""

from configs._liu2023 import RANKS, rnn

TASKS = ('two_alternative', 'match_to_sample', 'context_integration')


def get_config():
  return rnn(
    sweep=(
      (('data.name', 'data.noise', 'data.train', 'data.test'), tuple((task, 0.1, 100, 100) for task in TASKS)),
      ('init.rank', RANKS),
    )
  )
