"""arXiv 2006.09092, the learning rate on the fly: 2 over the largest eigenvalue of the batch's Hessian, every 10 steps.

Command: python -m experiments.run --config=configs/granziol2020_fly.py
Run time: 80 seconds on two cores beside other jobs.
Expected: with a memory of ten readings or so (hold = 0.9) it diverges at no batch size, and ends near the loss of the best
constant rate of granziol2020_rates, but for B = 32. Without a memory (hold = 0) batches of 8 make it diverge.

`hyper.lr` is the rate in units of 2 / eigenvalue: 1 is the edge of stability.
"""

from configs._granziol2020 import DIGITS, FRESH
from configs._merge import merge

HOLD = 0.9
SIZES = (8, 32, 128, 1024)  # with a memory
ARMS = ((8, 0.0), *((size, HOLD) for size in SIZES))


def get_config():
  return merge(
    DIGITS,
    {
      'optimizer.name': 'on_the_fly',
      'hyper.lr': 1.0,
      'layout': 'map',
      'seeds': FRESH,
      'probes.effective_step': dict(leaves=False),
      'sweep': ((('batch.size', 'optimizer.hold'), ARMS),),
    },
  )
