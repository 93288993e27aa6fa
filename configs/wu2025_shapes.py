"""arXiv 2506.00486, generalised Gaussian init: training from weights of one variance and several shapes, and what they become.

Command: python -m experiments.run --config=configs/wu2025_shapes.py
Run time: half a minute on one core; the decoder 2.
Expected: trained weights are heavier-tailed than the Gaussian ones that they start from (shape below 2), and networks that start
with shape 1 or 1/2 do not reach a given loss sooner than those that start Gaussian (shape 2).

An MLP 64-128-128-10 of relu on 8 x 8 digits, weights of variance 2 / fan_in, Adam, minibatches of 64. The authors train language
models; the shape that they recommend is not known to us, 1 is Laplace's law. Variants: tanh; weight decay; 28 x 28 digits; a
decoder of two layers on bytes of English, at eight times the rates. Tanh and the decoder have variance 1 / fan_in.
"""

from configs._merge import merge
from configs._wu2025 import RATES, VARIANTS, sweep


def get_config(variant=''):
  return merge(
    dict(
      data=dict(name='images', source='digits', train=1000, test=700),
      model=dict(name='mlp', widths=(128, 128), activation='relu'),
      init=dict(name='generalised_gaussian'),
      loss=dict(name='cross_entropy'),
      optimizer=dict(name='adam'),
      hyper=dict(lr=RATES[0], init_scale=2**0.5),
      batch=dict(size=64),
      steps=400,
      seeds=tuple(range(200, 216)),
      own_data=True,
      schedule=dict(log_points=32, linear_points=10),
      probes=dict(performance=dict(), weight_distribution=dict(schedule=dict(log_points=0, linear_points=10))),
      sweep=sweep(),
    ),
    VARIANTS[variant],
  )
