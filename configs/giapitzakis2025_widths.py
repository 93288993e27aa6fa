"""arXiv 2502.16763: means of ensembles of finite networks against the infinite one, by width; 5 bits.

Command: python -m experiments.run --config=configs/giapitzakis2025_widths.py
Run time: 1 minute on one core.
Expected: with the function of step 0 taken away, the mean of ten networks comes closer to the limit as width^(-1/2); without,
what ten draws of the start leave stays, whatever the width.

One hidden relu layer, no biases, inputs divided by sqrt(k), trained on the basis vectors until they fit. The authors have width
50,000. Seeds 100 and up judge, ten an ensemble; lower ones were used for tuning.
"""

from configs._giapitzakis2025 import PERMUTATION
from configs._merge import merge

WIDTHS = (64, 256, 1024, 4096)


def get_config():
  return merge(
    PERMUTATION,
    {
      'transforms': (dict(name='ntk'), dict(name='centred')),
      'seeds': tuple(range(100, 150)),
      'sweep': (('transforms.centred.on', (True, False)), ('model.widths', tuple((width,) for width in WIDTHS))),
    },
  )
