"""arXiv 2310.08513, figures 1 and 2: the rank of the initial recurrent weights and laziness at equal loss, on three tasks.

Command: python -m experiments.run --config=configs/liu2023_rank.py
Run time: 5 minutes on one core.
Expected: the higher the rank, the more the last kernel and features are like the first, and the less the recurrent weights move.
"""

from configs._liu2023 import RANKS, RNN, TRIALS
from configs._merge import merge

TASKS = ('two_alternative', 'match_to_sample', 'context_integration')


def get_config():
  fields = ('data.name', *(f'data.{name}' for name in TRIALS))
  rows = tuple((task, *TRIALS.values()) for task in TASKS)
  return merge(RNN, {'sweep': ((fields, rows), ('init.rank', RANKS))})
