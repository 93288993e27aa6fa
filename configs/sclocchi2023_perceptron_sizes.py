"""arXiv 2301.13703, perceptron: the signal w_1 and the time t* at which all examples are fitted, by training set size and chi.

Command: python -m experiments.run --config=configs/sclocchi2023_perceptron_sizes.py
Run time: 4 minutes on one core.
Expected: at a temperature at which the noise is far above the margin, w_1 and t* grow as powers of the size that fall with chi:
the closest example is at a distance P^(-1 / (1 + chi)), so w_1 ~ T P^(1 / (1 + chi)).

The theory is one of P far above the number of inputs, here 8, and of small steps, here B = 1. At 64 to 512 examples those of
chi = 1 and 2 hardly differ (tuning seeds), and t* of chi = 0 grows too fast for more: chi = 0 is compared with 1 on these sizes,
and 1 with 2 on 512 to 4096. A member that has not fitted all at its last step counts as later, with a larger signal, than those
that have; medians over seeds need no more, as w_1 only grows.
"""

from configs._merge import merge
from configs._sclocchi2023 import PERCEPTRON

BATCH, RATE = 1, 10.0  # T = 10
SMALL, LARGE = (64, 128, 256, 512), (512, 1024, 2048, 4096)
SIZES = ((0, 64, 60_000), (0, 128, 60_000), (0, 256, 200_000), (0, 512, 600_000),
         (1, 64, 20_000), (1, 128, 20_000), (1, 256, 20_000),
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
      'seeds': tuple(range(200, 500)),
      'sweep': ((('data.chi', 'data.train', 'steps'), SIZES),),
    },
  )
