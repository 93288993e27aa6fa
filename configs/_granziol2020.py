"""What the configs of arXiv 2006.09092 share: digits and a dense ReLU network of 64 hidden units, with the cross entropy.

The paper trains VGG-16 and residual networks on CIFAR-100; sizes, rates and numbers of steps here are ours. Each seed draws its
own training set. Seeds 0 to 9 were used for tuning, 100 and up judge, from 200 on
what was registered anew.
"""

TRAIN, STEPS = 1024, 200
SIZES = (8, 16, 32, 64, 128, 256, 512, 1024)

DIGITS = dict(
  data=dict(name='images', source='digits', train=TRAIN, test=300),
  model=dict(name='mlp', widths=(64,)),
  loss=dict(name='cross_entropy'),
  own_data=True,
  steps=STEPS,
  seeds=tuple(range(100, 106)),
  schedule=dict(log_points=0, stride=5),  # the training loss is read often, so that no divergence is missed
  probes=dict(performance=dict()),
)

FRESH = tuple(range(200, 212))
VARIANTS = {
  '': {},
  'mnist': {'data.source': 'mnist', 'seeds': tuple(range(200, 206))},
  'deep': {'model.widths': (64, 64), 'seeds': tuple(range(200, 206))},
}


def powers(low: float, high: float, finer: int = 4) -> tuple[float, ...]:
  """2^low to 2^high in steps of 2^(1 / finer)."""
  return tuple(2.0 ** (k / finer) for k in range(round(finer * low), round(finer * high) + 1))
