# %% [markdown]
# # Grokking and softmax collapse, by dtype
#
# A network that adds modulo a prime memorises the table first and generalises, if at all, much later: *grokking*
# ([2201.02177](https://arxiv.org/abs/2201.02177)). Without weight decay it often never does. One reason is arithmetic
# ([2501.04697](https://arxiv.org/abs/2501.04697)): the loss of an example is $-z_y + \log\sum_j e^{z_j}$, and once $z_y$
# exceeds the other logits by more than the precision of the format, the sum is rounded to $e^{z_y}$: the loss is exactly
# 0, its gradient too, and the example has nothing more to say. float16 has 11 bits, so the gap is $11 \log 2 \approx 8$;
# in float32 it is 17, in float64 37.

# %%
import pathlib

import matplotlib.pyplot as plt

import experiments
from experiments import run

CONFIG = """
from ml_collections import ConfigDict


def get_config():
  return ConfigDict(dict(
    data=dict(name='modular', p=59, train_fraction=0.4),
    model=dict(name='mlp', widths=(200, 200), bias=False),
    init=dict(name='uniform'),
    loss=dict(name='cross_entropy', dtype='float32'),
    optimizer=dict(name='adamw', perpendicular='off'),
    hyper=dict(lr=0.01, beta2=0.99, eps=1e-25, init_scale=3**-0.5),
    steps=600,
    seeds=(0, 1, 2),
    own_data=True,
    schedule=dict(log_points=25, linear_points=12),
    probes=dict(performance=dict(), collapse=dict()),
    sweep=((('loss.dtype', 'optimizer.perpendicular'),
            (('float16', 'off'), ('float32', 'off'), ('float64', 'off'), ('float32', 'rescaled'))),)))
"""
pathlib.Path('sums.py').write_text(CONFIG)
run.main(['--config=sums.py', '--out=results'])
runs = experiments.load('sums.py', out='results')  # four: a dtype is no number that enters a program, it makes another one

# %%
names = ['loss in float16', 'loss in float32', 'loss in float64', 'float32, perpendicular gradient']
panels = (
  ('performance', 'train_accuracy', 'training accuracy (share)'),
  ('performance', 'test_accuracy', 'test accuracy (share)'),
  ('collapse', 'zero_loss', 'loss exactly 0 (share of examples)'),
)
figure, axes = plt.subplots(1, 3, figsize=(11, 3.2), layout='constrained')
for axis, (probe, reading, label) in zip(axes, panels, strict=True):
  for name, one in zip(names, runs, strict=True):
    values = one.arrays[probe][reading]
    axis.plot(values['step'], values.median('member'), label=name)
    axis.fill_between(values['step'], values.min('member'), values.max('member'), alpha=0.2)
  axis.set(xlabel='step', ylabel=label, xscale='symlog', ylim=(-0.03, 1.03))
axes[2].legend(fontsize=7)
figure.suptitle('Addition modulo 59; median and range of three seeds')
figure.savefig('collapse.png')
for name, one in zip(names, runs, strict=True):
  end = {reading: float(one.arrays[probe][reading].isel(step=-1).median()) for probe, reading, _ in panels}
  print(f'{name:32}', ', '.join(f'{reading} {value:.2f}' for reading, value in end.items()))

# %% [markdown]
# **What one sees.** All four fit the training half. The fewer the bits, the sooner examples fall silent: with float16 a
# large share has a loss of exactly 0. The fourth network has its gradient made perpendicular to the weights, which takes
# away the direction in which all logits only grow: its test accuracy rises, and no example falls silent on the way.
#
# **What to try.** `loss=dict(name='stablemax')`, which does not saturate; weight decay: `('hyper.weight_decay', (0.0,
# 0.1, 1.0))`.
