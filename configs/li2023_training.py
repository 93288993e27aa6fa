"""arXiv 2312.02622, tables of accuracies: classifying nodes with a deep graph network, by the init.

Command: python -m experiments.run --config=configs/li2023_training.py
Run time: half a minute on two cores.
Expected: with eight layers Virgo is more accurate than Xavier by a point or more, each at its best of three learning rates.

Two graphs of 300 nodes a seed from a stochastic block model, of which 40 labels each are seen; Adam, 100 steps of all of them.
Variants: graphs grown by attachment; mean degree 3; sixteen layers.
"""

from configs._li2023 import FIELDS, GRAPHS, INITS, SETTINGS
from configs._merge import merge

RATES = (0.0005, 0.002, 0.008)
ARMS = ('Xavier', 'Kaiming', 'Virgo')
FEWER = {name: {'seeds': tuple(range(200, 208))} for name in SETTINGS if name}


def get_config(variant=''):
  return merge(
    GRAPHS,
    {
      'steps': 100,
      'seeds': tuple(range(200, 216)),
      'schedule': dict(log_points=0, linear_points=10),
      'probes': dict(performance=dict()),
      'sweep': ((FIELDS, tuple(INITS[name] for name in ARMS)), ('hyper.lr', RATES)),
    },
    FEWER.get(variant, {}),
    SETTINGS[variant],
  )
