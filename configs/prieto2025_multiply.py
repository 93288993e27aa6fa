"""arXiv 2501.04697: the arms of figure 1 on multiplication, a b mod 113.

Command: python -m experiments.run --config=configs/prieto2025_multiply.py
Run time: 5 minutes on two cores.
Expected: as for addition.
"""

import ml_collections


def get_config():
  return ml_collections.ConfigDict(
    dict(
      data=dict(name='modular', operation='multiply', p=113, train_fraction=0.4),
      model=dict(name='mlp', widths=(200, 200), activation='relu', bias=False),
      init=dict(law='uniform', rule='standard'),
      loss=dict(name='cross_entropy', dtype='float32'),
      optimizer=dict(name='adamw', perpendicular='off'),
      hyper=dict(lr=0.01, beta1=0.9, beta2=0.99, eps=1e-25, weight_decay=0.0, init_scale=3**-0.5),
      steps=1500,
      seeds=(100, 101, 102, 103, 104),
      own_data=True,
      layout='map',
      schedule=dict(log_points=16, linear_points=10),
      probes={name: {} for name in ('performance', 'distance', 'norms', 'collapse', 'alignment', 'meters')},
      sweep=(
        (
          ('optimizer.perpendicular', 'hyper.weight_decay', 'steps'),
          (('off', 0.0, 1500), ('off', 1.0, 1000), ('rescaled', 0.0, 300)),
        ),
      ),
    )
  )
