"""arXiv 2202.08788: the error under dense Gaussian noise, by its size and by columns, from a small and a larger start.

Command: python -m experiments.run --config=configs/ma2022_noise.py
Run time: 1 minute on two cores.
Expected: the error is 0.2 times the noise, for 2, 5 and 20 columns alike; from a larger start more columns fit more noise.

Every measurement is noisy and none has an outlier. The entries <A, M> of the clean measurements have standard deviation 1.41.
"""

from configs._ma2022 import robust, start


def get_config():
  return robust(
    hyper={**start(0.001, 0.99), 'label_noise': 0.0},
    steps=1200,
    schedule=dict(log_points=0, linear_points=120),
    sweep=(('data.noise', (0.01, 0.1, 1.0)), ('hyper.init_scale', (0.001, 0.1)), ('hyper.factor_rank', (2.0, 5.0, 20.0))),
  )
