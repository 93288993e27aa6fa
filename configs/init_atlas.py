"""arXiv 1606.05340 and 1711.04735: the atlas of inits, how signals, gradients and kernels begin, and what training makes of it.

Command: python -m experiments.run --config=configs/init_atlas.py
Run time: 15 minutes on one core; 8 with experiments.sweep and --workers=2 on two.
Expected: through 64 layers most inits shrink or blow up the signal and the gradients, and then no learning rate helps. Identities
keep both and learn in all nine settings; under tanh most inits of variance 1/fan_in learn something, orthogonal weights the most.

Every init that a plain dense network can have, by three activations and three depths: networks 64 wide on 8 x 8 digits, SGD
without momentum for 150 steps at five rates. What residual networks, convolutions or linear ones need (zero_branches,
delta_orthogonal, centre_tap, aligned, factors) is left out. No paper has this table; the readings are those of the two above.
"""

from configs._init_atlas import ACTIVATIONS, DEPTHS, INITS, RATES, STEPS, WIDTH, fitting
from configs._merge import merge

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
