"""What the configs of arXiv 2310.02244 share: digits, residual networks with blocks of one layer, Adam.

The paper trains residual networks of width 256 and more on CIFAR-10, with the mean taken off each branch, for 20 epochs at depths
4 to 256. Width 64, no biases, 100 steps and all rates are ours. Seeds below 100 were for tuning, 200 and up judge.
"""

MUP, DEPTH_MUP, ODE = (dict(name='mup'),), (dict(name='depth_mup'),), (dict(name='depth_mup', power=1.0),)

DIGITS = dict(
  data=dict(name='images', source='digits', train=1024, test=256),
  model=dict(name='residual', depth=64, width=64, activation='relu', bias=False, stacked=True),
  init=dict(name='gaussian'),
  transforms=DEPTH_MUP,
  loss=dict(name='cross_entropy'),
  optimizer=dict(name='adam'),
  batch=dict(size=64, draw='epochs'),
  hyper=dict(lr=2.0**-8),
  seeds=tuple(range(200, 208)),
  steps=100,
  schedule=dict(log_points=0, linear_points=2),
)
