"""arXiv 1312.6120, figure 6: steps to learn by depth, from orthogonal and from Gaussian weights, each at its best learning rate.

Command: python -m experiments.run --config=configs/saxe2013_fig6.py
Run time: 3 minutes on one core.
Expected: at depth 48 a few times as many steps as at depth 3 from orthogonal weights; over ten times as many from Gaussian ones.

A target of rank 5: one of full rank may have a determinant of the other sign than an orthogonal product, which no small step
can change. With 16 outputs the other 11 directions, which start at 1 from orthogonal weights, must be unlearned; with 5 outputs
there are none. Gain 1 for both laws; learning rates a factor of sqrt(2) apart.
"""

from configs._merge import merge
from configs._saxe2013 import LINEAR, hidden

RATES = tuple(round(2.0 ** (-i / 2), 9) for i in range(1, 15))
ARMS = (  # law, outputs, steps, depths
  ('orthogonal', 5, 200, (3, 12, 48)),
  ('orthogonal', 16, 200, (3, 6, 12, 24, 48)),
  ('gaussian', 16, 1000, (3, 6, 12, 24, 48)),
)


def get_config():
  rows = tuple((law, outputs, steps, hidden(depth)) for law, outputs, steps, depths in ARMS for depth in depths)
  return merge(
    LINEAR,
    {
      'data': dict(name='linear_map', singular=(1.0,) * 5),
      'steps': 200,
      'schedule': dict(log_points=150),
      'probes': dict(performance=dict()),
      'sweep': ((('init.name', 'data.outputs', 'steps', 'model.widths'), rows), ('hyper.lr', RATES)),
    },
  )
