"""arXiv 2310.08513, figures 1 and 2: the rank of the initial recurrent weights and laziness at equal loss, on three tasks.

Command: python -m experiments.run --config=configs/liu2023_rank.py
Run time: 10 minutes on one core.
Expected: the higher the rank, the more the last kernel and features are like the first, and the less the recurrent weights move.

Claims 1a to 1c asked for the order of six medians, until a simulation showed that it fails too often of shallow trends: all
of claim 1 now asks for slopes. Seeds 400 to 423 left 1a to 1c undecided; 500 to 595 judge, and the others have no say any more.
Variants, on the two-alternative choice alone: tanh; 32 units.
"""

from configs._liu2023 import RANKS, RNN, STRUCTURED, TRIALS
from configs._merge import merge

SEEDS, FEWER = tuple(range(500, 596)), tuple(range(500, 530))
TASKS = ('two_alternative', 'match_to_sample', 'context_integration')
FIELDS = ('data.name', *(f'data.{name}' for name in TRIALS))
ROWS = tuple((task, *TRIALS.values()) for task in TASKS)
CHOICE = {'sweep': ((FIELDS, ROWS[:1]), ('init.rank', RANKS))}
NARROW = dict(name='low_rank', where=STRUCTURED, rank=32)
VARIANTS = {
  '': {'sweep': ((FIELDS, ROWS), ('init.rank', RANKS))},
  'tanh': {**CHOICE, 'seeds': FEWER, 'model.activation': 'tanh'},
  'narrow': {
    'seeds': FEWER,
    'model.width': 32,
    'init': NARROW,
    'sweep': ((FIELDS, ROWS[:1]), ('init.rank', (1, 2, 4, 8, 16, 32))),
  },
}


def get_config(variant=''):
  return merge(RNN, {'seeds': SEEDS}, VARIANTS[variant])
