"""The loss barrier between networks of two seeds, as trained and with the hidden units of one in the order of the other's."""

import jax
import matplotlib.pyplot as plt
import numpy as np

from dynamics import losses, models, optim, study, train
from dynamics.data import images
from dynamics.data.sampling import sampler
from dynamics.probes.landscape import barrier
from dynamics.problem import supervised

WIDTHS, SEEDS, STEPS = (32, 128, 512), range(100, 110), 300

loss = losses.cross_entropy()
data = images().draw(jax.random.key(0), {})  # digits
bars = {}  # width -> (pairs, 2): as trained, matched

for width in WIDTHS:
  problem = supervised(models.mlp(widths=(width, width), outputs=10), data.train.x, loss, batch=sampler(size=128))
  digits = study.Study(problem, optim.optimizer(optim.adam), lambda key, hyper: data, {}, {}, STEPS)
  networks = jax.device_get(train.run(digits, SEEDS, {'lr': 0.003}).state.variables)
  pairs = tuple(jax.tree.map(lambda v, i=i: v[i::2], networks) for i in range(2))

  def heights(pair, apply=problem.apply):
    return [barrier(apply, loss, *pair, data.train, match=match) for match in (False, True)]

  bars[width] = np.stack(jax.jit(lambda pairs: jax.lax.map(heights, pairs))(pairs), axis=-1)
  for name, some in zip(('trained', 'matched'), bars[width].T, strict=True):
    print(f'width {width:4}  {name:8} median {np.median(some):.3f}  {np.round(np.sort(some), 3)}')

for name, some in zip(('as trained', 'matched'), np.stack(list(bars.values())).T, strict=True):
  plt.plot(WIDTHS, np.median(some, axis=0), 'o-', label=name)  # (pairs, widths)
plt.gca().set(xlabel='width', ylabel='loss barrier', ylim=0)
plt.xscale('log', base=2)
plt.legend()
plt.savefig('barriers.png')
