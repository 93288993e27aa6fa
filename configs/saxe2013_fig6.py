"""arXiv 1312.6120, figure 6: steps to learn by depth, from orthogonal weights, each at its best learning rate.

Command: python -m experiments.run --config=configs/saxe2013_fig6.py
Run time: 4 minutes on one core.
Expected: at depth 48 about twice as many steps as at depth 3.

A target of rank 5: one of full rank may have a determinant of the other sign than an orthogonal product, which no small step
can change. With 16 outputs the other 11 directions, which start at 1 from orthogonal weights, must be unlearned; with 5 outputs
there are none. Gain 1; learning rates a factor of sqrt(2) apart. Variants: 32 units a layer; a target of other strengths than
the start.
"""

from configs._merge import merge
from configs._saxe2013 import LINEAR, UNITS, hidden

RATES = tuple(round(2.0 ** (-i / 2), 9) for i in range(1, 15))
STEPS = 200
DEPTHS = {5: (3, 12, 48), UNITS: (3, 6, 12, 24, 48)}  # by outputs


def rows(depths, units=UNITS):
  return tuple((outputs, hidden(depth, units)) for outputs in depths for depth in depths[outputs])


ENDS = {outputs: (3, 48) for outputs in DEPTHS}
VARIANTS = {
  '': {'sweep': ((('data.outputs', 'model.widths'), rows(DEPTHS)), ('hyper.lr', RATES))},
  'wide': {'sweep': ((('data.outputs', 'model.widths'), rows(ENDS, 32)), ('hyper.lr', RATES)), 'data.inputs': 32},
  'unequal': {
    'sweep': ((('data.outputs', 'model.widths'), rows(ENDS)), ('hyper.lr', RATES)),
    'data.singular': (1.4, 1.2, 1.0, 0.8, 0.6),
  },
}


def get_config(variant=''):
  return merge(
    LINEAR,
    {
      'data': dict(name='linear_map', singular=(1.0,) * 5),
      'init.name': 'orthogonal',
      'steps': STEPS,
      'seeds': tuple(range(200, 220)),
      'schedule': dict(log_points=150),
      'probes': dict(performance=dict()),
    },
    VARIANTS[variant],
  )
