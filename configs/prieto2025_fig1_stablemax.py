"""arXiv 2501.04697, figure 1: the StableMax arm at p = 113, made fast enough to see it generalise.

Command: python -m experiments.run --config=configs/prieto2025_fig1_stablemax.py
Run time: 5 minutes on two cores.
Expected: test accuracy over 0.9 without weight decay.

Against the authors' setting: 60% of the table instead of 40%, and beta2 0.99 instead of 0.999. Theirs is in
configs/prieto2025_stablemax_reference.py, and needs 80,000 steps.
"""

import ml_collections


def get_config():
  return ml_collections.ConfigDict(
    dict(
      data=dict(name='modular', operation='add', p=113, train_fraction=0.6),
      model=dict(name='mlp', widths=(200, 200), activation='relu', bias=False),
      init=dict(law='uniform', rule='standard'),
      loss=dict(name='stablemax', dtype='float64'),
      optimizer=dict(name='adamw', perpendicular='off'),
      hyper=dict(lr=0.01, beta1=0.9, beta2=0.99, eps=1e-25, weight_decay=0.0, init_scale=3**-0.5),
      steps=3500,
      seeds=(100, 101, 102, 103, 104),
      own_data=True,
      layout='map',
      schedule=dict(log_points=16, linear_points=20),
      probes={name: {} for name in ('performance', 'distance', 'norms', 'collapse', 'alignment', 'meters')},
    )
  )
