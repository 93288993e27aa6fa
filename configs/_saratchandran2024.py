"""What the configs of arXiv 2409.03424 share: a relu network on Fourier features that is fitted to a picture, with Adam.

The paper trains image classifiers, radiance fields and shapes. Each seed fits a picture of its own: a Gaussian random field of
48 x 48 pixels whose amplitudes fall as those of photographs do. Weights start with rows of length 1 in the mean, so that
conditioned and plain networks start at outputs of one size. Seeds 0 to 9 were used for tuning, 200 and up judge: the main
setting twice, with 200 to 211 and then with 220 to 231, because the first record stands at the commit of the intervals.
"""

ON = ('transforms.weight_conditioning.on', 'transforms.weight_norm.on')
ARMS = {'conditioned': (True, False), 'weight norm': (False, True), 'plain': (False, False)}
RATES = tuple(2.0**k for k in range(-11, -3))
GOAL = 25.0  # decibel

PICTURE = dict(
  data=dict(name='picture', side=48),
  model=dict(name='coordinates', features='fourier', frequency=1.0, waves=24, widths=(64, 48, 32)),
  init=dict(name='module'),
  transforms=(dict(name='weight_conditioning'), dict(name='weight_norm')),
  loss=dict(name='mean_squared_error'),
  optimizer=dict(name='adam'),
  batch=dict(size=128, draw='epochs'),
  hyper=dict(lr=0.001),
  seeds=tuple(range(220, 232)),
  own_data=True,
)

FEW = {'seeds': tuple(range(200, 205))}
SETTINGS = {
  '': {},
  'mnist': {'data.source': 'mnist'},
  'deep': {'model.widths': (64, 56, 48, 40, 32)},
  'wide': {'model.widths': (128, 96, 64)},
}
