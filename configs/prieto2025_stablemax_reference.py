"""arXiv 2501.04697, figure 1: StableMax at the authors' size, held against the curve of their own code. Slow.

Command: python -m experiments.run --config=configs/prieto2025_stablemax_reference.py
Run time: 5 minutes on two cores.
Expected: test accuracy 0.0022 at step 5,000, 0.0084 at 10,000, 0.0282 at 16,500 (their PyTorch code, one seed).

A quarter of their 80,000 steps: long enough to compare the slopes.
"""

import ml_collections


def get_config():
  return ml_collections.ConfigDict(
    dict(
      data=dict(name='modular', operation='add', p=113, train_fraction=0.4),
      model=dict(name='mlp', widths=(200, 200), activation='relu', bias=False),
      init=dict(law='uniform', rule='standard'),
      loss=dict(name='stablemax', dtype='float64'),
      optimizer=dict(name='adamw', perpendicular='off'),
      hyper=dict(lr=0.01, beta1=0.9, beta2=0.999, eps=1e-25, weight_decay=0.0, init_scale=3**-0.5),
      steps=20_000,
      seeds=(100,),
      own_data=True,
      layout='map',
      schedule=dict(log_points=12, linear_points=40),
      probes=dict(performance=dict(), collapse=dict(schedule=dict(linear_points=10)), norms=dict()),
    )
  )
