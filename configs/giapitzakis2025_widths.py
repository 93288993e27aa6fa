"""arXiv 2502.16763: finite networks against the infinite one, by width; 5 bits.

Command: python -m experiments.run --config=configs/giapitzakis2025_widths.py
Run time: 2 minutes on one core.
Expected: with the function of step 0 taken away, a network comes closer to the limit's mean as width^(-1/2), and the mean over
networks is right; without, what the start leaves stays, whatever the width.

One hidden relu layer, no biases, inputs divided by sqrt(k), trained on the basis vectors until they fit. The authors have width
50,000. Seeds 200 and up judge; others were used for tuning. Variants: 4 and 6 bits; tanh; two hidden layers.
"""

from configs._giapitzakis2025 import PERMUTATION, unseen
from configs._merge import merge

WIDTHS = (64, 256, 1024, 4096)


def sweep(widths=WIDTHS, layers=1, centred=(True,)):
  return (('transforms.centred.on', centred), ('model.widths', tuple((width,) * layers for width in widths)))


VARIANTS = {
  '': {'sweep': sweep(centred=(True, False))},
  'bits4': {'sweep': sweep(), 'data.bits': 4, 'probes.predictions.examples': unseen(4)},
  'bits6': {'sweep': sweep(), 'data.bits': 6, 'probes.predictions.examples': unseen(6)},
  'tanh': {'sweep': sweep((2048, 4096)), 'model.activation': 'tanh'},
  'deep': {'sweep': sweep((512, 1024), layers=2)},
}


def get_config(variant=''):
  return merge(
    PERMUTATION,
    {'transforms': (dict(name='ntk'), dict(name='centred')), 'seeds': tuple(range(200, 240))},
    VARIANTS[variant],
  )
