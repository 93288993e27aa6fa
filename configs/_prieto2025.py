"""What the configs of arXiv 2501.04697 share: the setting of the authors' scripts, on the table of an operation mod 113.

40% of the table, full batch, AdamW with lr 0.01, beta2 0.99, eps 1e-25, a bias-free MLP whose weights start uniform in
+-1/sqrt(fan_in). Seeds 100 and up judge; lower ones were used for tuning. Each seed draws its own split.
"""

import ml_collections

EVERY_PROBE = ('performance', 'distance', 'norms', 'collapse', 'alignment', 'meters')


def mlp(**changes):
  """The common config with some fields, or fields of blocks, changed or added."""
  config = ml_collections.ConfigDict(
    dict(
      data=dict(name='modular', operation='add', p=113, train_fraction=0.4),
      model=dict(name='mlp', widths=(200, 200), activation='relu', bias=False),
      init=dict(law='uniform', rule='standard'),
      loss=dict(name='cross_entropy', dtype='float32'),
      optimizer=dict(name='adamw', perpendicular='off'),
      hyper=dict(lr=0.01, beta1=0.9, beta2=0.99, eps=1e-25, weight_decay=0.0, init_scale=3**-0.5),
      seeds=(100, 101, 102, 103, 104),
      own_data=True,
      layout='map',
    )
  )
  config.update(changes)
  return config


def stablemax(**changes):
  """The same with StableMax in float64."""
  return mlp(loss=dict(name='stablemax', dtype='float64'), **changes)
