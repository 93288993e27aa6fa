"""arXiv 2310.08513: recurrent weights whose singular values fall as a power law, at equal norm, on the delayed match.

Command: python -m experiments.run --config=configs/liu2023_power_law.py
Run time: 1 minute on one core.
Expected: the steeper the spectrum, the less the kernel of the end is like that of the start; exponent 0 is an orthogonal matrix.
"""

from configs._liu2023 import RNN, STRUCTURED, TRIALS
from configs._merge import merge

EXPONENTS = (0.0, 0.5, 1.0, 2.0)


def get_config():
  return merge(
    RNN,
    {
      'data': dict(name='match_to_sample', **TRIALS),
      'init': dict(name='power_law', exponent=0.0, where=STRUCTURED),
      'sweep': (('init.exponent', EXPONENTS),),
    },
  )
