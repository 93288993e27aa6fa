"""What the configs of arXiv 2006.09092 share: digits and a dense ReLU network of 64 hidden units, with the cross entropy.

The paper trains VGG-16 and residual networks on CIFAR-100; sizes, rates and numbers of steps here are ours. Each seed draws its
own training set. Seeds 0 to 9 were used for tuning, 100 and up judge.
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


def powers(low: float, high: float) -> tuple[float, ...]:
  """2^low to 2^high in steps of 2^(1/4)."""
  return tuple(2.0 ** (k / 4) for k in range(round(4 * low), round(4 * high) + 1))
