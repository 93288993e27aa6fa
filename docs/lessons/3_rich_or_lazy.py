# %% [markdown]
# # Rich or lazy: one network at five output scales
#
# Multiply the outputs of a network by $\alpha$, and start them at zero: $f_\alpha(x) = \alpha\,(f(w, x) - f(w_0, x))$. A
# larger $\alpha$ needs smaller weight changes for the same outputs, so that the network stays where its linearisation
# holds: it is *lazy*, and its tangent kernel stays as it was. With a small $\alpha$ weights must move, features with
# them: the network is *rich* ([1812.07956](https://arxiv.org/abs/1812.07956)).
#
# Outputs learn at the rate $\eta\,\alpha^2 K$, so to compare equal times the learning rate is $\eta = \eta_1/\alpha^2$.

# %%
import pathlib

import matplotlib.pyplot as plt
import numpy as np

import experiments
from experiments import run

CONFIG = """
from ml_collections import ConfigDict

ALPHAS = (0.1, 0.3, 1.0, 10.0, 100.0)


def get_config():
  return ConfigDict(dict(
    data=dict(name='images', source='digits', train=200, test=500),
    model=dict(name='mlp', widths=(64, 64), activation='tanh'),
    transforms=(dict(name='centred'), dict(name='scaled')),
    loss=dict(name='mean_squared_error'),
    optimizer=dict(name='sgd'),
    hyper=dict(lr=0.05, alpha=1.0),
    steps=2000,
    seeds=(0, 1, 2),
    schedule=dict(log_points=12),
    probes=dict(performance=dict(), kernel=dict(examples=32), distance=dict(leaves=False)),
    sweep=((('hyper.alpha', 'hyper.lr'), tuple((a, 0.02 / a**2) for a in ALPHAS)),)))
"""
pathlib.Path('scales.py').write_text(CONFIG)
run.main(['--config=scales.py', '--out=results'])
(sweep,) = experiments.load('scales.py', out='results')

# %%
panels = (
  ('performance', 'train_loss', 'training loss'),
  ('kernel', 'drift', '|K - K0| / |K0|'),
  ('distance', 'relative', '|w - w0| / |w0|'),
)
figure, axes = plt.subplots(1, 3, figsize=(11, 3), layout='constrained')
alphas = np.unique(sweep.settings['alpha'])
for axis, (probe, reading, label) in zip(axes, panels, strict=True):
  values = sweep.arrays[probe][reading]
  for place, alpha in enumerate(alphas):
    group = values[(sweep.settings['alpha'] == alpha).to_numpy()]
    color = plt.cm.viridis(place / len(alphas))
    axis.plot(group['step'], group.median('member'), color=color, label=f'{alpha:g}')
    axis.fill_between(group['step'], group.min('member'), group.max('member'), color=color, alpha=0.2)
  axis.set(xlabel='step', ylabel=label, xscale='symlog', yscale='log')
axes[0].legend(title='alpha')
figure.suptitle('The same network at five output scales; median and range of three seeds')
figure.savefig('scales.png')

# %% [markdown]
# **What one sees.** Of $\alpha = 10$ and more the curves of the loss lie on each other, as those of a linear model must,
# and the kernel moves by less the larger $\alpha$: in proportion to $1/\alpha$, as the theory says. At $\alpha = 0.1$ the
# kernel is another one at the end.
#
# Drift against $\alpha$, with the slope $-1$ of the lazy regime:

# %%
drift = sweep.arrays['kernel']['drift'].isel(step=-1)
figure, axis = plt.subplots(figsize=(4.5, 3), layout='constrained')
axis.loglog(sweep.settings['alpha'], drift, 'o', markersize=4, label='a member')
lazy = alphas[-2:]
reference = float(drift[(sweep.settings['alpha'] == lazy[0]).to_numpy()].median())
axis.loglog(lazy, reference * lazy[0] / lazy, 'k--', label='slope -1')
axis.set(xlabel='output scale alpha', ylabel='|K - K0| / |K0| at the end')
axis.legend()
figure.savefig('drift.png')
for alpha in alphas:
  group = (sweep.settings['alpha'] == alpha).to_numpy()
  accuracy = sweep.arrays['performance']['test_accuracy'].isel(step=-1)[group]
  print(f'alpha {alpha:6g}: drift {float(drift[group].median()):.4f}, test accuracy {float(accuracy.median()):.3f}')

# %% [markdown]
# **What to try.** `transforms=(dict(name='linearised'),)` trains the tangent model itself: beside $\alpha = 100$ there is
# no difference. The width does the same as $\alpha$ in the parametrization `ntk`; in `mup` it does not.
