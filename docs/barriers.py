"""The loss barrier between networks of two seeds, as trained and with the hidden units of one in the order of the other's."""

import jax
import matplotlib.pyplot as plt
import numpy as np

from dynamics import losses, models, network, objectives, optim, study, train
from dynamics.data import images
from dynamics.data.sampling import sampler
from dynamics.probes.landscape import barrier
from dynamics.types import Problem

WIDTHS, SEEDS, STEPS = (32, 128, 512), range(100, 110), 300

loss, task = losses.cross_entropy(), images(source='digits')
data = task.draw(jax.random.key(0))
bars = {}  # width -> (pairs, 2): as trained, matched

for width in WIDTHS:
  model = network.from_flax(models.mlp(task.outputs, task.vocabulary, widths=(width, width)), data.train.x)

  def problem(hyper, source, model=model):
    objective = objectives.supervised()(model, loss, source)
    return Problem(task, model, loss, objective, optim.adam(lr=hyper['lr']), sampler(size=128))

  networks = jax.device_get(train.run(study.Study(problem, STEPS), SEEDS, {'lr': 0.003}).state.variables)
  pairs = tuple(jax.tree.map(lambda v, i=i: v[i::2], networks) for i in range(2))

  def heights(pair, model=model):
    return [barrier(model.apply, loss, *pair, data.train, match=match) for match in (False, True)]

  bars[width] = np.stack(jax.jit(lambda pairs: jax.lax.map(heights, pairs))(pairs), axis=-1)
  for name, values in zip(('trained', 'matched'), bars[width].T, strict=True):
    print(f'width {width:4}  {name:8} median {np.median(values):.3f}  {np.round(np.sort(values), 3)}')

for name, values in zip(('as trained', 'matched'), np.stack(list(bars.values())).T, strict=True):
  plt.plot(WIDTHS, np.median(values, axis=0), 'o-', label=name)  # (pairs, widths)
plt.gca().set(xlabel='width', ylabel='loss barrier', ylim=0)
plt.xscale('log', base=2)
plt.legend()
plt.savefig('barriers.png')
