"""arXiv 2501.04697, figure 2: softmax collapse by the dtype of the loss, on a + b mod 113.

Command: python -m experiments.run --config=configs/prieto2025_fig2.py
Run time: 14 minutes on two cores.
Expected: examples with exactly zero loss appear first in float16, later in float32, not at all in float64.

The authors take lr 0.0005 and 20,000 steps; lr 0.01, as in their figure 1, brings collapse within 4,000.
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
      steps=4000,
      seeds=(100, 101, 102, 103, 104),
      own_data=True,
      layout='map',
      schedule=dict(log_points=12, linear_points=40),
      probes=dict(performance=dict(), collapse=dict(), alignment=dict(schedule=dict(linear_points=10)), norms=dict()),
      sweep=(('loss.dtype', ('float16', 'float32', 'float64')),),
    )
  )
