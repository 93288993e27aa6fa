# %% [markdown]
# # Add a probe
#
# A probe reads numbers off a member. A new one is one function in a file of yours: what it may be set to are its keyword
# arguments, what it measures is a pure function of a `View`. No list names it.
#
# Ours asks how evenly the size of weights is spread: the Gini coefficient of $|w|$, 0 where all are equal and 1 where one
# has everything. With the sorted sizes $s_1 \le \dots \le s_n$ it is $G = \sum_i (2 i - n - 1)\,s_i \,/\, (n \sum_i
# s_i)$.

# %%
import pathlib

PROBE = '''
"""How evenly the sizes of weights are spread."""

import jax.numpy as jnp

from dynamics import trees
from dynamics.components import component
from dynamics.types import stateless


def gini(w):
  """The Gini coefficient of |w|, from 0 (all equal) to 1 - 1/n."""
  sizes = jnp.sort(jnp.abs(w).reshape(-1))
  n = sizes.size
  return jnp.sum((2 * jnp.arange(1, n + 1) - n - 1) * sizes) / (n * jnp.sum(sizes))


@component()
def evenness():
  """The Gini coefficient of the sizes of weights.

  Reading:
    gini_of/leaf (): of each parameter array; NaN where it is zero.
  Cost: a sort of each array; no state.
  Oracle: the mean absolute difference of all pairs, in numpy.
  """

  def read(view, key):
    return {'gini_of': {name: gini(w) for name, w in trees.by_path(view.variables['params']).items()}}

  return stateless(read)
'''
pathlib.Path('my_probe.py').write_text(PROBE)

# %% [markdown]
# **First the oracle.** An instrument is worth something when a slow and obvious second implementation agrees with it. The
# Gini coefficient is half of the mean absolute difference of two entries over their mean.

# %%
import sys

import numpy as np

sys.path.insert(0, '.')
from my_probe import gini

w = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)
sizes = np.abs(w).ravel().astype(np.float64)
slow = np.mean([abs(a - b) for a in sizes for b in sizes]) / (2 * sizes.mean())
print(f'ours {float(gini(w)):.6f}, slowly {slow:.6f}')
assert abs(float(gini(w)) - slow) < 1e-5

# %% [markdown]
# **Then a run.** The key under `probes` is a word of yours, and `name` says where the probe is. Does weight decay make
# weights uneven?

# %%
import matplotlib.pyplot as plt

import experiments
from experiments import run

CONFIG = """
from ml_collections import ConfigDict


def get_config():
  return ConfigDict(dict(
    data=dict(name='images', source='digits', train=500, test=500),
    model=dict(name='mlp', widths=(64,)),
    loss=dict(name='cross_entropy'),
    optimizer=dict(name='adamw'),
    hyper=dict(lr=0.003, weight_decay=0.0),
    steps=1500,
    seeds=(0, 1, 2),
    probes=dict(performance=dict(), evenness=dict(name='my_probe:evenness')),
    sweep=(('hyper.weight_decay', (0.0, 0.3, 3.0)),)))
"""
pathlib.Path('uneven.py').write_text(CONFIG)
run.main(['--config=uneven.py', '--out=results'])
(sweep,) = experiments.load('uneven.py', out='results')
values = sweep.arrays['evenness']['gini_of/input/kernel']
figure, axis = plt.subplots(figsize=(5, 3.2), layout='constrained')
for decay in np.unique(sweep.settings['weight_decay']):
  group = values[(sweep.settings['weight_decay'] == decay).to_numpy()]
  axis.plot(group['step'], group.median('member'), label=f'{decay:g}')
  axis.fill_between(group['step'], group.min('member'), group.max('member'), alpha=0.2)
axis.set(xlabel='step', ylabel='Gini coefficient of the first layer', xscale='symlog')
axis.legend(title='weight decay')
figure.savefig('evenness.png')

# %% [markdown]
# The readings came under `vmap` over all nine members, and the probe was compiled as a program of its own: it cannot
# change a bit of the training. To give it to everyone, move the file to `dynamics/probes`, rerun `python -m
# experiments.reference`, and make the oracle a test: the law tables of `tests/dynamics/probes` try it on several models
# and dtypes by themselves.
