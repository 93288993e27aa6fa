"""What the configs of arXiv 1710.03667 share: a linear student of a linear teacher, full-batch gradient descent.

Features are N(0, 1) and the teacher's weights N(0, 1/N): the paper's setting, with features of variance 1/N and weights of
variance 1, in other units. tau is alpha = P/N for times in steps times learning rate. Label noise has variance 0.2 (a signal to
noise ratio of 5) and is on the training targets alone. The student starts at N(0, init_scale^2 / N).
Seeds 200 and up judge; others were used for tuning. Each draws its own teacher, inputs and noise.
"""

NOISE = 0.2**0.5  # standard deviation of the label noise; the teacher's weights have variance 1
RATE = 0.02
START = 0.1  # standard deviation of the student's first weights, times sqrt(N)
SEEDS = tuple(range(200, 250))

FIELDS = ('data.inputs', 'data.noise', 'data.train')  # swept together: the tables then say N and the noise

STUDENT = dict(
  data=dict(name='teacher', inputs=200, outputs=1, hidden=0, noise=NOISE, train=200, test=2000),
  model=dict(name='linear', widths=()),
  init=dict(name='gaussian'),
  loss=dict(name='mean_squared_error'),
  optimizer=dict(name='sgd'),
  hyper=dict(lr=RATE, init_scale=START),
  seeds=SEEDS,
  own_data=True,
  layout='map',
)


def settings(inputs: int, alphas: tuple[float, ...], noise: float = NOISE) -> tuple:
  """The sweep over numbers of examples, alpha N."""
  return ((FIELDS, tuple((inputs, noise, round(alpha * inputs)) for alpha in alphas)),)


def once(steps: int) -> dict:
  """A schedule with step 0 alone."""
  return dict(log_points=0, stride=steps + 1, end=False)
