"""arXiv 1705.08741, random walk: the distance from the start by batch size, with and without the square-root rule.

Command: python -m experiments.run --config=configs/hoffer2017_batches.py
Run time: 6 minutes on two cores beside other jobs.
Expected: by the paper, the rule brings the curves of all batch sizes together. Here they lie together at one rate, and the
rule pulls them apart: a rate counts as time.

Ghost batches of 32 throughout, so that the normalisation is the same for all batch sizes. The number of updates is the same too.
"""

from configs._hoffer2017 import DIGITS, NOISES, RATE, scaled
from configs._merge import merge

SMALL, BATCHES = 32, (32, 128, 512, 1024)
PAIRS = tuple((batch, rate) for batch in BATCHES for rate in sorted({RATE, scaled(batch, SMALL)}))


def get_config():
  return merge(
    DIGITS,
    {
      'model': dict(name='normalised_mlp', widths=(128, 128), ghost=SMALL),
      'steps': 1000,
      'sweep': ((('batch.size', 'hyper.lr'), PAIRS), ('hyper.label_noise', NOISES)),
    },
  )
