"""arXiv 2006.09092, the learning rate on the fly: 2 over the largest eigenvalue of the batch's Hessian, every 10 steps.

Command: python -m experiments.run --config=configs/granziol2020_fly.py
Run time: 80 seconds on two cores beside other jobs.
Expected: with a memory of ten readings or so (hold = 0.9) it diverges at no batch size, and ends near the loss of the best
constant rate of granziol2020_rates, but for B = 32. Without a memory (hold = 0) batches of 8 make it diverge.

`hyper.lr` is the rate in units of 2 / eigenvalue: 1 is the edge of stability.
"""

from configs._granziol2020 import digits

ARMS = ((8, 0.0), (8, 0.9), (32, 0.9), (128, 0.9), (1024, 0.9))


def get_config():
  return digits(
    optimizer=dict(name='on_the_fly'),
    hyper=dict(lr=1.0),
    layout='map',
    probes=dict(performance=dict(), effective_step=dict(leaves=False)),
    sweep=((('batch.size', 'optimizer.hold'), ARMS),),
  )
