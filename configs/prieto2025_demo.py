"""arXiv 2501.04697, figure 1 in small: fewer seeds and arms than configs/prieto2025_fig1.py, for `make demo`.

Command: python -m experiments.run --config=configs/prieto2025_demo.py
Run time: 2 minutes on two cores.
Expected: the perpendicular gradient generalises within 300 steps; softmax alone does not in 1,500.
"""

import ml_collections


def get_config():
  return ml_collections.ConfigDict(
    dict(
      data=dict(name='modular', operation='add', p=113, train_fraction=0.4),
      model=dict(name='mlp', widths=(200, 200), activation='relu', bias=False),
      init=dict(law='uniform', rule='standard'),
      loss=dict(name='cross_entropy', dtype='float32'),
      optimizer=dict(name='adamw', perpendicular='off'),
      hyper=dict(lr=0.01, beta1=0.9, beta2=0.99, eps=1e-25, weight_decay=0.0, init_scale=3**-0.5),
      steps=1500,
      seeds=(200, 201, 202),
      own_data=True,
      layout='map',
      schedule=dict(log_points=16, linear_points=5),
      probes={name: {} for name in ('performance', 'distance', 'norms', 'collapse', 'alignment', 'meters')},
      sweep=((('optimizer.perpendicular', 'steps'), (('off', 1500), ('rescaled', 300))),),
    )
  )
