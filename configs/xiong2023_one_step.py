"""arXiv 2310.01769: the same, with the imbalance made large once by an intervention.

Command: python -m experiments.run --config=configs/xiong2023_one_step.py
Run time: 30 seconds on two cores.
Expected: from step 200 on the error falls at one rate, whatever alpha.

After step 200 F = U S V^T becomes beta U, and G^T becomes S V^T G^T / beta, with beta = 1.
"""

from configs._merge import merge
from configs._xiong2023 import ASYMMETRIC, SYMMETRIC, VARIANTS

STEP = 200  # after which the factors are rebalanced
ALPHAS = (0.1, 0.2, 0.4, 0.8)


def get_config(variant=''):
  return merge(
    SYMMETRIC,
    ASYMMETRIC,
    {
      'interventions.rebalance': dict(schedule=dict(at=(STEP,))),
      'hyper.beta': 1.0,
      'steps': 1500,
      'schedule': dict(log_points=0, stride=10),
      'sweep': (('hyper.init_scale', ALPHAS),),
    },
    VARIANTS[variant],
  )
