"""arXiv 1705.08741, table 1: small batch, large batch, and the large batch with the paper's remedies one after the other.

Command: python -m experiments.run --config=configs/hoffer2017_table.py
Run time: 8 minutes on two cores beside other jobs.
Expected: at the same number of epochs the large batch generalises worse; the square-root rule with clipping, ghost batches and
the same number of updates close the gap. The last arm, with the updates alone, is ours.

256 digits, batches of 16 and 256, plain batch normalisation where there is no ghost. The learning rate falls to a tenth after
half of the run: regime adaptation lengthens both halves. The clip at a norm of 1 is our choice. Variants: `mnist` (28 x 28) and
`narrow` (32-32 hidden units), with the arms of the claims alone.
"""

from configs._hoffer2017 import DIGITS, NOISES, RATE, scaled
from configs._merge import merge

SMALL, LARGE, UPDATES = 16, 256, 1024
FEW = UPDATES * SMALL // LARGE  # the updates of a large batch in as many epochs
FIELDS = ('batch.size', 'model.ghost', 'optimizer.clip', 'hyper.lr', 'steps', 'hyper.drop_every')
ARMS = {
  'SB': (SMALL, 0, 0.0, RATE, UPDATES, UPDATES / 2),
  'LB': (LARGE, 0, 0.0, RATE, FEW, FEW / 2),
  'LB + LR': (LARGE, 0, 1.0, scaled(LARGE, SMALL), FEW, FEW / 2),
  'LB + LR + GBN': (LARGE, SMALL, 1.0, scaled(LARGE, SMALL), FEW, FEW / 2),
  'LB + LR + GBN + RA': (LARGE, SMALL, 1.0, scaled(LARGE, SMALL), UPDATES, UPDATES / 2),
  'LB + RA': (LARGE, 0, 0.0, RATE, UPDATES, UPDATES / 2),
}
CLAIMED = tuple(ARMS[name] for name in ('SB', 'LB', 'LB + LR + GBN + RA'))
SCOPE = {'seeds': tuple(range(200, 220)), 'sweep': ((FIELDS, CLAIMED), ('hyper.label_noise', (0.0,)))}
VARIANTS = {'': {}, 'mnist': {**SCOPE, 'data.source': 'mnist'}, 'narrow': {**SCOPE, 'model.widths': (32, 32)}}


def get_config(variant=''):
  return merge(
    DIGITS,
    {
      'data': dict(name='images', source='digits', train=256, test=1500),
      'model': dict(name='normalised_mlp', widths=(128, 128)),
      'lr_schedule.name': 'drops',
      'hyper.drop_every': 1.0,
      'hyper.drop': 0.1,
      'schedule.log_points': 12,
      'seeds': tuple(range(200, 230)),
      'sweep': ((FIELDS, tuple(ARMS.values())), ('hyper.label_noise', NOISES)),
    },
    VARIANTS[variant],
  )
