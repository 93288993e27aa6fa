"""arXiv 1312.6120, figure 6: the same from Gaussian weights, onto 16 outputs.

Command: python -m experiments.run --config=configs/saxe2013_fig6_gaussian.py
Run time: 4 minutes on one core.
Expected: at depth 48 over ten times as many steps as at depth 3, or never in 1,000. Variants as from orthogonal weights.
"""

from configs._merge import merge
from configs._saxe2013 import UNITS, hidden
from configs.saxe2013_fig6 import DEPTHS as BY_OUTPUTS
from configs.saxe2013_fig6 import RATES
from configs.saxe2013_fig6 import get_config as orthogonal

STEPS, DEPTHS = 1000, BY_OUTPUTS[UNITS]
VARIANTS = {'': (DEPTHS, UNITS), 'wide': ((3, 48), 32), 'unequal': ((3, 48), UNITS)}  # depths and units of each variant


def get_config(variant=''):
  depths, units = VARIANTS[variant]
  rows = tuple((UNITS, hidden(depth, units)) for depth in depths)
  return merge(
    orthogonal(variant),
    {
      'init': dict(name='gaussian'),
      'steps': STEPS,
      'seeds': tuple(range(200, 205)),
      'sweep': ((('data.outputs', 'model.widths'), rows), ('hyper.lr', RATES)),
    },
  )
