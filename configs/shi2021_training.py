"""arXiv 2103.17268, sections 3 and 4: what plain training makes of weights that keep interval bounds, and of batch normalisation.

Command: python -m experiments.run --config=configs/shi2021_training.py
Run time: 1 minute on one core.
Expected: ten relu layers from variance 2 pi / n^2 stay at chance, because their signal shrinks by pi / n a layer; with batch
normalisation, which the authors add to every layer, they learn.

SGD on 8 x 8 digits without any certified loss, at the best of three rates. Variants: six layers, the 28 x 28 digits.
"""

from configs._merge import merge
from configs._shi2021 import LAYERS, RATES, STARTED, STEPS

VARIANTS = {'': {}, 'six': {'layers': 6}, 'mnist': {'data.source': 'mnist'}}


def arms(layers):
  """(model, init): plain from the init of interval bounds, normalised from it, and plain from the usual one."""
  widths = (100,) * layers
  plain, normalised = dict(name='mlp', widths=widths, bias=False), dict(name='normalised_mlp', widths=widths)
  return (plain, dict(name='ibp')), (normalised, dict(name='ibp')), (plain, dict(name='recommended'))


def get_config(variant=''):
  changes = dict(VARIANTS[variant])
  layers = changes.pop('layers', LAYERS)
  training = {
    'data.train': 1000,
    'data.test': 300,
    'batch': dict(size=50),
    'steps': STEPS,
    'schedule': dict(log_points=0, at=(0, STEPS // 2)),
    'probes': dict(performance=dict()),
    'sweep': ((('model', 'init'), arms(layers)), ('hyper.lr', RATES)),
  }
  return merge(STARTED, training, changes)
