"""arXiv 1806.07572, figure 2: functions of trained networks against kernel regression, on four points of the unit circle.

Command: python -m experiments.run --config=configs/jacot2018_regression.py
Run time: 1 minute on one core.
Expected: at width 1000 the networks lie in the band of kernel regression, at width 50 they spread a little wider.

Widths, lr and number of steps are the authors'; they have three hidden layers and biases, we two and none.
"""

import ml_collections


def get_config():
  return ml_collections.ConfigDict(
    dict(
      data=dict(name='sphere', inputs=2, target='product', angles=(-2.4, -0.6, 0.9, 2.2), test=64),
      model=dict(name='mlp', activation='relu', bias=False),
      init=dict(law='gaussian', rule='ntk'),
      loss=dict(name='mean_squared_error'),
      optimizer=dict(name='sgd'),
      hyper=dict(lr=1.0),
      steps=1000,
      seeds=tuple(range(100, 108)),
      layout='map',
      schedule=dict(log_points=0),
      probes=dict(performance=dict(), predictions=dict(examples=64)),
      sweep=(('model.widths', ((50, 50), (1000, 1000))),),
    )
  )
