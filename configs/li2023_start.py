"""arXiv 2312.02622, figures on variances: sizes of hidden values and of gradients through the layers of a deep graph network.

Command: python -m experiments.run --config=configs/li2023_start.py
Run time: half a minute on one core.
Expected: with the forward variances of Virgo the last of eight layers has values of the size of the first, with the backward
ones gradients have one size, and with Xavier's the size halves at each layer.

Two graphs of 400 nodes a seed from a stochastic block model, eight graph convolutions of 64 units, no training. For square layers
Xavier's init is uniform with variance 1 / fan_in, and Kaiming's 2 / fan_in. The authors take 15 data sets. Variants: graphs by
attachment; mean degree 3; sixteen layers.
"""

from configs._li2023 import FIELDS, GRAPHS, INITS, SETTINGS
from configs._merge import merge


def get_config(variant=''):
  return merge(
    GRAPHS,
    {
      'data.nodes': 400,
      'steps': 1,
      'seeds': tuple(range(200, 248)),
      'schedule': dict(log_points=0, stride=2, end=False),
      'probes': dict(preactivations=dict(examples=2)),
      'sweep': ((FIELDS, tuple(INITS.values())),),
    },
    SETTINGS[variant],
  )
