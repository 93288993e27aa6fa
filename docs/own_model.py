"""A user's own flax module and arrays: 16 members in one program, two probes, one figure."""

import flax.linen as nn
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from dynamics import losses, network, objectives, optim, probes, study, train
from dynamics.data.sampling import sampler
from dynamics.types import Batch, Data, Problem, Task


class Net(nn.Module):
  @nn.compact
  def __call__(self, x):
    return nn.Dense(2)(nn.tanh(nn.Dense(32)(x)))


x = np.random.default_rng(0).normal(size=(400, 2)).astype(np.float32)
y = (x[:, 0] * x[:, 1] > 0).astype(np.int32)
data = Data(train=Batch(jnp.asarray(x[:200]), jnp.asarray(y[:200])), test=Batch(jnp.asarray(x[200:]), jnp.asarray(y[200:])))

model, loss = network.from_flax(Net(), data.train.x), losses.cross_entropy()
instruments = {'performance': probes.performance(), 'distance': probes.distance()}


def problem(hyper, source):  # called while JAX traces: hyper values are scalars of one member
  return Problem(
    task=Task(draw=lambda key: data, outputs=2),
    model=model,
    loss=loss,
    objective=objectives.supervised()(model, loss, source),
    optimizer=optim.sgd(lr=hyper['lr']),
    batch=sampler(size=0),  # the full batch
    probes=instruments,
  )


xor = study.Study(problem, steps=1000, schedule=dict.fromkeys(instruments, study.log_spaced(30, 1000)))

rates = np.repeat([0.01, 0.03, 0.1, 0.3], 4)  # four learning rates, four seeds each: 16 members
result = train.run(xor, seeds=list(range(4)) * 4, hyper={'lr': rates})

distances = result.arrays['distance']['relative']  # (member, step)
for lr in np.unique(rates):
  plt.plot(distances['step'], distances[rates == lr].mean('member'), label=f'learning rate {lr:g}')
plt.gca().set(xlabel='step', ylabel='|w - w0| / |w0|', xscale='symlog')
plt.legend()
plt.savefig('own_model.png')
