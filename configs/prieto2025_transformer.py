"""arXiv 2501.04697, figure 6 (right): a one-layer transformer encoder on a + b mod 59.

Command: python -m experiments.run --config=configs/prieto2025_transformer.py
Run time: 8 minutes on two cores.
Expected: the perpendicular gradient generalises first.

Width 128, 4 heads, lr 0.001; the weight decay of the middle arm is 1.5. The authors take p = 113 and
5,000 steps; the smaller table, 60% of it, and 500 steps fit three seeds and three arms into the run time above.
"""

import ml_collections


def get_config():
  return ml_collections.ConfigDict(
    dict(
      data=dict(name='modular', operation='add', p=59, train_fraction=0.6),
      model=dict(name='transformer', layers=1, width=128, heads=4, norm='post'),
      init=dict(law='uniform', rule='standard'),
      loss=dict(name='cross_entropy', dtype='float32'),
      optimizer=dict(name='adamw', perpendicular='off'),
      hyper=dict(lr=0.001, beta1=0.9, beta2=0.99, eps=1e-25, weight_decay=0.0, init_scale=3**-0.5),
      steps=500,
      seeds=(100, 101, 102),
      own_data=True,
      layout='map',
      schedule=dict(log_points=16, linear_points=10),
      probes=dict(performance=dict(), collapse=dict(), alignment=dict(leaves=False), norms=dict(leaves=False)),
      sweep=((('optimizer.perpendicular', 'hyper.weight_decay'), (('off', 0.0), ('off', 1.5), ('rescaled', 0.0))),),
    )
  )
