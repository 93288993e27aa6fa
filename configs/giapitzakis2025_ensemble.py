"""arXiv 2502.16763, right panel of figure 1: how often the signs of an ensemble's mean are right, by its size.

Command: python -m experiments.run --config=configs/giapitzakis2025_ensemble.py
Run time: 1 minute on one core.
Expected: 512 networks of width 1024 follow the curve of the infinite ones.

All 26 unseen inputs of 5 bits count, each with all of its bits; the authors ask for inputs with two ones.
"""

import ml_collections


def get_config():
  return ml_collections.ConfigDict(
    dict(
      data=dict(name='permutation', bits=5),
      model=dict(name='mlp', widths=(1024,), activation='relu', bias=False),
      init=dict(law='gaussian', rule='ntk'),
      loss=dict(name='mean_squared_error'),
      optimizer=dict(name='sgd'),
      hyper=dict(lr=10.0),
      steps=300,
      seeds=tuple(range(100, 612)),
      schedule=dict(log_points=0),
      probes=dict(performance=dict(), predictions=dict(examples=26)),
    )
  )
