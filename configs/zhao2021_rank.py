"""arXiv 2110.12661, figure 3: the rank of what a square hidden layer learns, by the init of the network, at three widths.

Command: python -m experiments.run --config=configs/zhao2021_rank.py
Run time: 4 minutes on one core.
Expected: from the partial identity the change of the third weight has at most as many singular values as there are inputs, 64,
at every width; from ZerO it has more, though not above 74, at every width; from repeated identities (arXiv 2503.04626) and from
random weights it has many more, and the more the wider the layer.

The network is 64 - 64 - h - h - 10 without biases, on 8 x 8 digits. Singular values below 1e-4 of the largest count as zero:
rounding in float32 leaves some of up to 1e-5 where exact arithmetic has none. The authors take MNIST and wider layers.
Minibatches, learning rate and steps are ours. Seeds from 200 on judge; each has a split of the digits of its own. Variants, of
one width: tanh; a linear network; 40 inputs from a random teacher, which are no power of two; MNIST, with its 784 inputs; and
repeated identities on MNIST.
"""

from configs._merge import merge
from configs._zhao2021 import INPUTS, MNIST, SEEDS, VARIANTS


def get_config(variant=''):
  return merge(
    dict(
      data=dict(name='images', source='digits', train=1000, test=700),
      model=dict(name='mlp', widths=(INPUTS, 128, 128), activation='relu', bias=False),
      loss=dict(name='cross_entropy'),
      optimizer=dict(name='momentum'),
      hyper=dict(lr=0.01),
      batch=dict(size=50),
      steps=320,
      seeds=SEEDS,
      own_data=True,
      layout='map',
      schedule=dict(log_points=0, linear_points=4),
      probes=dict(performance=dict(), weight_matrices=dict()),
    ),
    MNIST if 'mnist' in variant else {},
    VARIANTS[variant],
  )
