"""arXiv 2407.17465, figure 1 (FP8): training with weights rounded to 8 bits, under u-muP and under the standard parametrization.

Command: python -m experiments.run --config=configs/blake2024_bits.py
Run time: 2 minutes on one core.
Expected: rounding the weights to E4M3 changes the training loss under u_mup by less than 1%.

Variants: E5M2, tanh, MNIST. The paper rounds activations and gradients too.
"""

from configs._blake2024 import DIGITS, STANDARD, UNIT
from configs._merge import merge

SEEDS = tuple(range(200, 216))
RATES = {'unit': (2.0**-5, 2.0**-4, 2.0**-3), 'standard': (2.0**-10, 2.0**-9, 2.0**-8)}
VARIANTS = {'': 'float8_e4m3fn', 'e5m2': 'float8_e5m2', 'tanh': 'float8_e4m3fn', 'mnist': 'float8_e4m3fn'}
OTHERS = tuple(range(220, 236))  # without these half of the runs would be those of E4M3
CHANGES = {'e5m2': {'seeds': OTHERS}, 'tanh': {'model.activation': 'tanh'}, 'mnist': {'data.source': 'mnist'}}


def arms(dtype: str) -> tuple:
  """Pairs (transforms, learning rate): both parametrizations, rounded and not."""
  bits = dict(name='rounded_weights', dtype=dtype)
  each = (('unit', UNIT), ('unit', (*UNIT, bits)), ('standard', STANDARD), ('standard', (*STANDARD, bits)))
  return tuple((transforms, lr) for name, transforms in each for lr in RATES[name])


def get_config(variant=''):
  changes = {'seeds': SEEDS, 'sweep': ((('transforms', 'hyper.lr'), arms(VARIANTS[variant])),)}
  return merge(DIGITS, changes, CHANGES.get(variant, {}))
