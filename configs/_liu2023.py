"""What the configs of arXiv 2310.08513 share: a leaky recurrent network on 100 trials, stopped at one level of the loss.

Full batch and momentum at a small learning rate, because the measures of laziness are those of gradient descent. A member stands
still from the first step at which its cross-entropy is at most 0.1 nats, so all are compared at equal loss. Only the recurrent
kernel is structured, at the Frobenius norm of a Gaussian one. Each seed draws its own trials; all inits of a seed share them.
The authors' networks have 300 units; width, trials, learning rate and level are ours. Seeds from 200 on judge.
"""

WIDTH = 64
RANKS = (1, 2, 4, 8, 16, WIDTH)
TRIALS = dict(noise=0.1, train=100, test=100)  # of every task
STRUCTURED = 'recurrent/*'  # the weights that have a structure
END = dict(log_points=0)  # one reading, of the network that has stopped

RNN = dict(
  data=dict(name='two_alternative', **TRIALS),
  model=dict(name='rnn', width=WIDTH, activation='relu', leak=0.5),
  init=dict(name='low_rank', where=STRUCTURED, rank=WIDTH),
  loss=dict(name='cross_entropy'),
  optimizer=dict(name='momentum'),
  stopping=dict(name='at_loss'),
  hyper=dict(lr=0.002, stop_loss=0.1, gain=1.0),
  steps=4000,
  seeds=tuple(range(200, 210)),
  own_data=True,
  schedule=dict(log_points=20),
  probes=dict(
    clock=dict(schedule=END),
    performance=dict(schedule=END),
    distance=dict(),
    kernel=dict(leaves=False, schedule=END),
    representation=dict(layers=False, schedule=END),
  ),
)
