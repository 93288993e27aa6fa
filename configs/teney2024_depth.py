"""arXiv 2403.02241, section 3: how fast random networks turn, by depth, with residual connections and layer normalisation or not.

Command: python -m experiments.run --config=configs/teney2024_depth.py
Run time: 1 minute on one core.
Expected: a plain tanh network turns faster layer by layer; with residual connections it grows less, with layer normalisation as
well it hardly grows.

Nothing is trained. All networks have as many weight matrices and activations: a residual one has a linear first layer, and
blocks h + W phi(h) or h + W phi(norm h) after it. Weights are uniform in balls, biases in [-1, 1].
Variants: Gaussians for tanh, branches over the root of their number (48 wide, so that all runs are others), the 28 x 28 digits.
"""

from configs._merge import merge
from configs._teney2024 import DEPTH_BANDS, DEPTHS, MNIST, UNTRAINED

VARIANTS = {
  '': {},
  'gaussian': {'activation': 'gaussian'},
  'scaled': {'power': -0.5, 'width': 48},
  'mnist': MNIST,
}


def models(activation='tanh', power=0.0, width=64):
  """Plain, residual, and residual with layer normalisation, at every depth; branches times depth^power."""
  for depth in DEPTHS:
    yield dict(name='mlp', widths=(width,) * depth, activation=activation)
    branches = dict(name='residual', width=width, depth=depth - 1, multiplier=float(depth**power), activation=activation)
    for norm in ('none', 'layer'):
      yield dict(branches, norm=norm)


def get_config(variant=''):
  changes = dict(VARIANTS[variant])
  swept = tuple(models(**{name: changes.pop(name) for name in ('activation', 'power', 'width') if name in changes}))
  return merge(UNTRAINED, {'sweep': (('model', swept), ('hyper.band', DEPTH_BANDS))}, changes)
