"""What the configs of arXiv 1710.03667 share: a linear student of a linear teacher, full-batch gradient descent.

Features are N(0, 1) and the teacher's weights N(0, 1/N): the paper's setting, with features of variance 1/N and weights of
variance 1, in other units. tau is alpha = P/N for times in steps times learning rate. Label noise has variance 0.2 (a signal to
noise ratio of 5) and is on the training targets alone. The student starts at N(0, init_scale^2 / N).
Seeds 100 and up judge; each draws its own teacher, inputs and noise.
"""

import ml_collections

NOISE = 0.2**0.5
SEEDS = tuple(range(100, 125))  # five groups of five, for claims about a mean of five repetitions


def student(inputs, **changes):
  """The common config for so many inputs, with some fields changed or added."""
  config = ml_collections.ConfigDict(
    dict(
      data=dict(name='teacher', inputs=inputs, outputs=1, hidden=0, noise=NOISE, train=inputs, test=2000),
      model=dict(name='linear', widths=()),
      init=dict(law='gaussian'),
      loss=dict(name='mean_squared_error'),
      optimizer=dict(name='sgd'),
      hyper=dict(lr=0.02, init_scale=0.1),
      seeds=SEEDS,
      own_data=True,
      layout='map',
    )
  )
  config.update(changes)
  return config


def once(steps):
  """A schedule with step 0 alone."""
  return dict(log_points=0, stride=steps + 1, end=False)
