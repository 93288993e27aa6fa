"""arXiv 2006.09092, the instrument: the spectrum of a Hessian by 80 steps of Lanczos beside all its eigenvalues.

Command: python -m experiments.run --config=configs/granziol2020_lanczos.py
Run time: 30 seconds on two cores beside other jobs.
Expected: the largest eigenvalues agree within a thousandth, and the densities all but lie on each other.

24 hidden units, 1,810 parameters, after 100 steps at learning rate 0.1, batches of 32; all 1,024 training examples.
"""

from configs._granziol2020 import DIGITS, TRAIN
from configs._merge import merge

END = dict(log_points=0, stride=0)


def get_config():
  return merge(
    DIGITS,
    {
      'model.widths': (24,),
      'optimizer.name': 'sgd',
      'hyper.lr': 0.1,
      'batch.size': 32,
      'steps': 100,
      'layout': 'map',
      'probes.hessian_spectrum': dict(examples=TRAIN, steps=80, vectors=10, keep=True, schedule=END),
      'probes.dense_spectrum': dict(examples=TRAIN, schedule=END),
    },
  )
