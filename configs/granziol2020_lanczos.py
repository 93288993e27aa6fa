"""arXiv 2006.09092, the instrument: the spectrum of a Hessian by 80 steps of Lanczos beside all its eigenvalues.

Command: python -m experiments.run --config=configs/granziol2020_lanczos.py
Run time: 30 seconds on two cores beside other jobs.
Expected: the largest eigenvalues agree within a thousandth, and the densities all but lie on each other.

24 hidden units, 1,810 parameters, after 100 steps at learning rate 0.1, batches of 32; all 1,024 training examples.
"""

from configs._granziol2020 import TRAIN, digits


def get_config():
  end = dict(log_points=0, stride=0)
  return digits(
    model=dict(name='mlp', widths=(24,)),
    optimizer=dict(name='sgd'),
    hyper=dict(lr=0.1),
    batch=dict(size=32),
    steps=100,
    layout='map',
    probes=dict(
      performance=dict(),
      hessian_spectrum=dict(examples=TRAIN, steps=80, vectors=10, keep=True, schedule=end),
      dense_spectrum=dict(examples=TRAIN, schedule=end),
    ),
  )
