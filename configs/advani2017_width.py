"""arXiv 1710.03667, the nonlinear half: one hidden layer of ReLU or tanh, by width, at the end and at the best stopping time.

Command: python -m experiments.run --config=configs/advani2017_width.py
Run time: 3 minutes on one core.
Expected: with early stopping wider is no worse; at the end the error peaks where the network can just fit its examples.

The teacher has 30 hidden units of the same kind, 30 inputs and noisy labels; 300 examples, so a student of about 10 hidden units
has as many weights as examples. Both layers are trained.
"""

from configs._advani2017 import STUDENT
from configs._merge import merge

INPUTS, EXAMPLES = 30, 300
WIDTHS = (2, 5, 10, 20, 50, 200)


def get_config():
  return merge(
    STUDENT,
    {
      'data': dict(name='teacher', inputs=INPUTS, outputs=1, hidden=30, activation='tanh', noise=0.3, train=EXAMPLES, test=2000),
      'model': dict(name='mlp', widths=(10,), activation='tanh', bias=False),
      'hyper': dict(lr=0.003, init_scale=0.5),
      'optimizer.name': 'adam',
      'steps': 5000,
      'seeds': (100, 101, 102, 103, 104),
      'schedule': dict(log_points=32),
      'probes': dict(performance=dict()),
      'sweep': (
        (('data.activation', 'model.activation'), (('tanh', 'tanh'), ('relu', 'relu'))),
        ('model.widths', tuple((width,) for width in WIDTHS)),
      ),
    },
  )
