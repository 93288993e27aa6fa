# %% [markdown]
# # A sweep in ten lines
#
# How does the learning rate decide how far a network travels, and what it has learned by then? We train the same network
# from four starts at five learning rates: twenty *members*. A member's seed and learning rate are values that enter one
# compiled program, so the twenty are trained at once and nothing is compiled twice.
#
# An experiment is a config: a function that returns plain fields. Its blocks name components, which are listed in the
# [reference](../reference/README.md). What is left out takes its default.

# %%
import pathlib

CONFIG = """
from ml_collections import ConfigDict


def get_config():
  return ConfigDict(dict(
    data=dict(name='images', source='digits', train=500, test=500),
    model=dict(name='mlp', widths=(64,), activation='tanh'),
    loss=dict(name='cross_entropy'),
    optimizer=dict(name='sgd'),
    hyper=dict(lr=0.1),
    steps=1000,
    seeds=(0, 1, 2, 3),
    probes=dict(performance=dict(), distance=dict()),
    sweep=(('hyper.lr', (0.01, 0.03, 0.1, 0.3, 1.0)),)))
"""
pathlib.Path('digits.py').write_text(CONFIG)

# %% [markdown]
# `python -m experiments.run --config=digits.py` runs it from a shell; from Python it is the same function. Give the
# command twice: the second time it says that all is done, because a run is found by the content of its config. Killed in
# the middle, it goes on where it was.

# %%
from experiments import run

run.main(['--config=digits.py', '--out=results'])

# %% [markdown]
# `experiments.load` gives one run for each compiled program, here one. A *probe* is an instrument that reads the members
# at some steps; each has a table (a row for each member and step) and labelled arrays.

# %%
import experiments

(sweep,) = experiments.load('digits.py', out='results')
print(sweep.tables['distance'][['seed', 'lr', 'step', 'relative']].tail(3))

# %% [markdown]
# The relative distance from the start is $|w_t - w_0| / |w_0|$. Small steps in the same direction add up: while the loss
# is nearly linear the distance is proportional to lr times the number of steps, and curves of different rates are shifted
# copies of each other.

# %%
import matplotlib.pyplot as plt
import numpy as np

table = sweep.arrays['distance']['relative']  # (member, step)
accuracy = sweep.arrays['performance']['test_accuracy']
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout='constrained')
for lr in np.unique(sweep.settings['lr']):
  members = (sweep.settings['lr'] == lr).to_numpy()
  for axis, values in ((left, table), (right, accuracy)):
    group = values[members]
    axis.plot(values['step'], group.median('member'), label=f'{lr:g}')
    axis.fill_between(values['step'], group.min('member'), group.max('member'), alpha=0.2)
left.set(xlabel='step', ylabel='|w - w0| / |w0|', xscale='symlog')
right.set(xlabel='step', ylabel='test accuracy (share)', xscale='symlog')
left.legend(title='learning rate')
figure.suptitle('Median and range of four seeds')
figure.savefig('distance.png')

# %% [markdown]
# **What to try.** Sweep over a static field, `('model.widths', ((16,), (64,), (256,)))`: each value is then a program of
# its own, and `experiments.load` gives three runs. Add `kernel=dict()` to the probes: only the missing table is made, by
# going through the same training again, to the same bits.
