"""The weights that the configs of arXiv 2310.16597 compare: pseudo-iid ones, and one kind that is not."""

FROM_SECOND, HIDDEN = '[!i]*', 'hidden_*'  # paths of weights; the former holds the readout too. The first layer is Gaussian.
RANK = 4  # one that does not grow with the width
ARMS = {  # name -> what is set at width n
  'Gaussian': lambda n: dict(name='gaussian'),
  'orthogonal': lambda n: dict(name='power_law', exponent=0.0),
  'low rank': lambda n: dict(name='low_rank', rank=n // 4),
  'sparse': lambda n: dict(name='random_sparse'),
  'permuted blocks': lambda n: dict(name='permuted_block', blocks=5),
}
STRONGER = {
  **ARMS,
  'low rank': lambda n: dict(name='low_rank', rank=n // 6),
  'permuted blocks': lambda n: dict(name='permuted_block', blocks=10),
}
FIXED = {'fixed rank': lambda n: dict(name='low_rank', rank=RANK)}


def inits(n, where, arms):
  """The arms' blocks at width n, for weights whose path matches `where`."""
  blocks = (block(n) for block in arms.values())
  return tuple(block if block['name'] == 'gaussian' else {**block, 'where': where} for block in blocks)


def sweep(widths, depth, where, arms=ARMS):
  """All arms at each width."""
  return ((('model.widths', 'init'), tuple(((n,) * depth, init) for n in widths for init in inits(n, where, {**arms, **FIXED}))),)
