"""What the configs of arXiv 2501.04697 share: the setting of the authors' scripts, on the table of an operation mod 113.

40% of the table, full batch, AdamW with lr 0.01, beta2 0.99, eps 1e-25, a bias-free MLP whose weights start uniform in
+-1/sqrt(fan_in). Seeds 100 and up judge; lower ones were used for tuning. Each seed draws its own split.
"""

P = 113
EVERY_PROBE = dict(performance={}, distance={}, norms={}, collapse={}, alignment={}, meters={})
ARM = ('optimizer.perpendicular', 'hyper.weight_decay', 'steps')  # the fields that tell the arms of figure 1
ARMS = (('off', 0.0, 1500), ('off', 1.0, 1000), ('rescaled', 0.0, 300))

MLP = dict(
  data=dict(name='modular', operation='add', p=P, train_fraction=0.4),
  model=dict(name='mlp', widths=(200, 200), activation='relu', bias=False),
  init=dict(name='uniform'),
  loss=dict(name='cross_entropy', dtype='float32'),
  optimizer=dict(name='adamw', perpendicular='off'),
  hyper=dict(lr=0.01, beta1=0.9, beta2=0.99, eps=1e-25, weight_decay=0.0, init_scale=3**-0.5),
  seeds=(100, 101, 102, 103, 104),
  own_data=True,
  layout='map',
)
FRESH = {'seeds': (200, 201, 202, 203, 204)}
OTHERS = {  # operations, on smaller tables
  'subtraction': {**FRESH, 'data.operation': 'subtract', 'data.p': 61},
  'multiplication': {**FRESH, 'data.operation': 'multiply', 'data.p': 67},
  'quadratic': {**FRESH, 'data.operation': 'quadratic', 'data.p': 71},
}
STABLEMAX = {'loss': dict(name='stablemax', dtype='float64')}
