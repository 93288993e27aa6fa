"""arXiv 1606.05340 and 1711.04735: the atlas of inits, how signals, gradients and kernels begin, and what training makes of it.

Command: python -m experiments.run --config=configs/init_atlas.py
Run time: 30 minutes on one core; with experiments.sweep and --workers=2 half of it.
Expected: through 64 layers most inits shrink or blow up the signal and the gradients, and then no learning rate helps. Identities
keep both and learn in all nine settings; under tanh most inits of variance 1/fan_in learn something, orthogonal weights the most.

Every init that a plain dense network can have, by three activations and three depths: networks 64 wide on 8 x 8 digits, SGD
without momentum for 150 steps at five rates. What residual networks, convolutions or linear ones need (zero_branches,
delta_orthogonal, centre_tap, aligned, factors) is left out. No paper has this table; the readings are those of the two above.
"""

from configs._merge import merge

WIDTH, STEPS = 64, 150
ACTIVATIONS = ('relu', 'tanh', 'gelu')
DEPTHS = (4, 16, 64)
RATES = (0.004, 0.016, 0.064, 0.256, 1.024)
INITS = (
  dict(name='gaussian'),
  dict(name='truncated'),
  dict(name='uniform'),
  dict(name='orthogonal'),
  dict(name='recommended'),
  dict(name='generalised_gaussian'),
  dict(name='power_law', exponent=1.0),
  dict(name='low_rank', rank=8),
  dict(name='block', blocks=4),
  dict(name='permuted_block', blocks=4),
  dict(name='random_sparse'),
  dict(name='dale'),
  dict(name='bandlimited'),
  dict(name='ibp'),
  dict(name='lir'),
  dict(name='identity'),
  dict(name='hadamard'),
  dict(name='padded_identity'),
  dict(name='balanced'),
  dict(name='lsuv'),
  dict(name='unit_normalised'),
)


def fitting(init: dict, activation: str) -> dict:
  """The init for this activation, where it asks."""
  return {**init, 'activation': activation} if init['name'] == 'recommended' else init


START = dict(schedule=dict(at=(0,), end=False))


def get_config():
  return merge(
    dict(
      data=dict(name='images', source='digits', train=1024, test=512),
      model=dict(name='mlp'),
      loss=dict(name='cross_entropy'),
      optimizer=dict(name='sgd'),
      hyper=dict(lr=RATES[0]),
      batch=dict(size=32),
      steps=STEPS,
      seeds=tuple(range(200, 203)),
      layout='map',
      schedule=dict(log_points=0, at=(0,)),
      probes=dict(
        performance=dict(),
        activations=dict(examples=16, **START),
        input_jacobian=dict(examples=4, **START),
        kernel=dict(examples=16, leaves=False, **START),
      ),
      # Inits come last, because cells in a row that differ in their init alone share their programs.
      sweep=(
        ('model.widths', tuple((WIDTH,) * depth for depth in DEPTHS)),
        (('model.activation', 'init'), tuple((of, fitting(init, of)) for of in ACTIVATIONS for init in INITS)),
        ('hyper.lr', RATES),
      ),
    )
  )
