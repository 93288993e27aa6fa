"""What the configs of arXiv 2103.00065 and 2207.14484 share: digits learned with the squared error by full-batch descent.

The papers train on 5,000 images of CIFAR10, among others a dense tanh network of two hidden layers of 200 units; ours has 64
units and 500 digits. Seeds 100 and up judge, and 200 and up the variants; 0 and 1 were used for tuning. Each seed draws its own
training set.
"""

TRAIN = 500

DIGITS = dict(
  data=dict(name='images', source='digits', train=TRAIN, test=500),
  model=dict(name='mlp', widths=(64, 64), activation='tanh'),
  loss=dict(name='mean_squared_error'),
  own_data=True,
  seeds=(100, 101, 102, 103, 104),
  schedule=dict(log_points=0, linear_points=100),  # even in steps, because what is looked for happens late in a run
  probes=dict(
    performance=dict(schedule=dict(log_points=0, linear_points=400)),
    sharpness=dict(examples=TRAIN, top=2),
    distance=dict(leaves=False),
  ),
)

FRESH = {'seeds': (200, 201, 202, 203, 204)}  # of variants
