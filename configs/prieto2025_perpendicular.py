"""arXiv 2501.04697 (Prieto et al. 2025)"""

import ml_collections


def get_config():
  return ml_collections.ConfigDict(
    dict(
      data=dict(name='modular', operation='add', p=23, train_fraction=0.4),
      model=dict(name='mlp', widths=(64, 64), bias=False),
      init=dict(law='uniform', rule='standard'),
      loss=dict(name='cross_entropy'),
      optimizer=dict(name='adamw', perpendicular='rescaled'),
      hyper=dict(lr=0.01, beta2=0.99, eps=1e-25, init_scale=3**-0.5),
      steps=300,
      seeds=(0, 1, 2),
      own_data=True,
      sweep=(('hyper.lr', (0.01, 0.003)), ('loss.dtype', ('float32', 'float64'))),
    )
  )
