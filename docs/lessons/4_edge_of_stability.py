# %% [markdown]
# # The edge of stability, live
#
# Gradient descent with step $\eta$ on a quadratic of curvature $\lambda$ multiplies the distance to the minimum by $1 -
# \eta\lambda$ at every step: it diverges if $\lambda > 2/\eta$. Networks do not stay below. Their *sharpness*, the
# largest eigenvalue of the Hessian of the loss, rises during training until it reaches $2/\eta$, and then hovers there,
# while the loss goes on falling, though not at every step ([2103.00065](https://arxiv.org/abs/2103.00065)).

# %%
import pathlib

import matplotlib.pyplot as plt
import numpy as np

import experiments
from experiments import run

CONFIG = """
from ml_collections import ConfigDict


def get_config():
  return ConfigDict(dict(
    data=dict(name='images', source='digits', train=200, test=200),
    model=dict(name='mlp', widths=(32, 32), activation='tanh'),
    loss=dict(name='mean_squared_error'),
    optimizer=dict(name='sgd'),
    hyper=dict(lr=0.1, init_scale=0.5),
    steps=4000,
    seeds=(0, 1),
    schedule=dict(log_points=0, linear_points=60),
    probes=dict(performance=dict(schedule=dict(linear_points=400)), sharpness=dict(examples=200)),
    sweep=(('hyper.lr', (0.2, 0.3, 0.4)),)))
"""
pathlib.Path('edge.py').write_text(CONFIG)
run.main(['--config=edge.py', '--out=results'])
(sweep,) = experiments.load('edge.py', out='results')

# %% [markdown]
# *Live* means: while this runs, `python -m experiments.watch --config=edge.py --probe=sharpness` draws the curves in
# another terminal, from what the newest checkpoint holds.

# %%
sharpness = sweep.arrays['sharpness']['largest'].isel(largest_0=0)
loss = sweep.arrays['performance']['train_loss']
figure, (above, below) = plt.subplots(1, 2, figsize=(9, 3.2), layout='constrained')
for place, lr in enumerate(np.unique(sweep.settings['lr'])):
  members = (sweep.settings['lr'] == lr).to_numpy()
  color = f'C{place}'
  above.plot(sharpness['step'], sharpness[members].T, color=color)
  above.axhline(2 / lr, color=color, linestyle=':')
  below.semilogy(loss['step'], loss[members][0], color=color, linewidth=0.8, label=f'learning rate {lr:g}')
above.set(xlabel='step', ylabel='sharpness (1 / learning rate)', title='dotted: 2 / learning rate')
below.set(xlabel='step', ylabel='training loss', title='one seed each')
below.legend()
figure.savefig('edge.png')
for lr in np.unique(sweep.settings['lr']):
  late = sharpness[(sweep.settings['lr'] == lr).to_numpy()].isel(step=slice(-15, None))
  print(f'learning rate {lr:g}: lr x sharpness / 2 = {lr * float(late.median()) / 2:.3f} over the last quarter')

# %% [markdown]
# **What one sees.** Every curve rises to its own dotted line: the larger the step, the lower the line and the sooner it
# is met. Beyond it the loss wiggles: along the sharpest direction the weights oscillate with growing size, until the
# third derivative of the loss pushes the sharpness down again.
#
# **What to try.** `--config.optimizer.name=adam` and the probe's `lr_preconditioned`: for Adam the line is met by the
# preconditioned Hessian ([2207.14484](https://arxiv.org/abs/2207.14484)), for which see `configs/cohen2022_adam.py`.
