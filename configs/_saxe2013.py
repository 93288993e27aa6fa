"""What the configs of arXiv 1312.6120 share: deep linear networks, white inputs, full-batch gradient descent on squared error.

A square map of 16 inputs and outputs; a network of L weight matrices has L - 1 hidden layers of 16. The loss is (1/2) the
squared error, a mean over examples, so time is steps times learning rate (tau = 1). Seeds 200 and up judge, others were used for
tuning; each draws its own directions of the task.
"""

UNITS = 16
MODES = (4.0, 3.0, 2.0, 1.0)
RATE = 0.001

LINEAR = dict(
  data=dict(name='linear_map', singular=MODES, inputs=UNITS, outputs=UNITS),
  model=dict(name='linear', widths=(UNITS,)),
  loss=dict(name='mean_squared_error'),
  optimizer=dict(name='sgd'),
  hyper=dict(lr=RATE),
  seeds=tuple(range(200, 208)),
  own_data=True,
)


def hidden(depth: int, units: int = UNITS) -> tuple[int, ...]:
  """The hidden widths of a network of `depth` weight matrices."""
  return (units,) * (depth - 1)
