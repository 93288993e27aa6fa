"""What the atlas of inits goes over: every init that a plain dense network can have, activations, depths and learning rates."""

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
  dict(name='biased'),
)


def fitting(init: dict, activation: str) -> dict:
  """The init for this activation, where it asks."""
  return {**init, 'activation': activation} if init['name'] == 'recommended' else init
