"""What the configs of arXiv 2310.17074 share: points of three patches, a network of filters, one point a step.

The paper's constants are not known to us with confidence: neither the exact activation nor the sizes of features, noise, start
and learning rates. Ours are a squared relu, the squared error, 10 filters of either sign, |u| = 1, |v| = 4, noise of length 4 in
200 dimensions, a start at a tenth of the usual one, and 100 points of which 90 have the strong feature. They obey what the
mechanism asks for: with n points a class, of which n_w lack the strong feature, the noise of a point is fitted before the weak
feature by these alone, n_w |u|^2 < |xi|^2, but not by all points, |xi|^2 < n |u|^2.

A fit on the strong feature alone is stable below the learning rate filters / (2 |v|^2) = 0.3125: with f = sum <w_j, v>^2 / m
= 1 the gradient of f has square length 4 |v|^2 / m, and that is the curvature of the squared error. Seeds 100 and up judge,
and 200 and up the variants and the oscillation of the loss of all points.
"""

SMALL, LARGE = 0.02, 0.36
RATES = (SMALL, 0.05, 0.1, 0.2, 0.28, LARGE, 0.42)

POINTS = dict(
  data=dict(name='patches', inputs=200, weak=1.0, strong=4.0, noise=4.0, fraction=0.9, train=100, test=1000),
  model=dict(name='patchwise', filters=10, activation='squared_relu'),
  loss=dict(name='mean_squared_error'),
  init=dict(name='gaussian'),
  optimizer=dict(name='sgd'),
  batch=dict(size=1, draw='epochs'),
  hyper=dict(lr=SMALL, init_scale=0.1),
  seeds=tuple(range(100, 110)),
  own_data=True,
  sweep=(('hyper.lr', RATES),),
)
STABLE = POINTS['model']['filters'] / (2 * POINTS['data']['strong'] ** 2)  # learning rate; 0.3125
FRESH = {'seeds': tuple(range(200, 210))}
VARIANTS = {'': {}, 'points': {**FRESH, 'data.train': 200}, 'inputs': {**FRESH, 'data.inputs': 400}}
