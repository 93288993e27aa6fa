"""arXiv 2310.01769: squared error over steps for X X^T, with as many columns as the rank or more.

Command: python -m experiments.run --config=configs/xiong2023_symmetric.py
Run time: 1 minute on two cores.
Expected: |R - M|^2 falls below 1e-25 for 2 columns, and as T^-2 for 3, 5 and 10.
"""

from configs._xiong2023 import symmetric


def get_config():
  return symmetric(
    hyper=dict(lr=0.1, init_scale=0.5, factor_rank=2.0),
    steps=40000,
    schedule=dict(log_points=80),
    sweep=(('hyper.factor_rank', (2.0, 3.0, 5.0, 10.0)),),
  )
