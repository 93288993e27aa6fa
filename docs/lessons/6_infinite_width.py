# %% [markdown]
# # Infinite width against yours
#
# A network whose weights are random is a random function; at infinite width it is a Gaussian process, and training by
# gradient descent on the squared loss is kernel regression with the tangent kernel $\Theta$
# ([1806.07572](https://arxiv.org/abs/1806.07572), [1902.06720](https://arxiv.org/abs/1902.06720)). For time $t\to\infty$
# the mean of the trained networks at $x$ is $\Theta(x, X)\,\Theta(X, X)^{-1} y$. How wide must a network be for that to
# describe it?

# %%
import functools
import pathlib

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import experiments
from dynamics.theory import flow, kernels
from experiments import run

ANGLES = (-2.4, -0.6, 0.9, 2.2)
CONFIG = f"""
from ml_collections import ConfigDict


def get_config():
  return ConfigDict(dict(
    data=dict(name='sphere', inputs=2, target='product', angles={ANGLES}, test=64),
    model=dict(name='mlp', widths=(16,), activation='relu', bias=False),
    init=dict(name='gaussian'),
    transforms=(dict(name='ntk'),),
    loss=dict(name='mean_squared_error'),
    optimizer=dict(name='sgd'),
    hyper=dict(lr=1.0, init_scale=2**0.5),
    steps=1000,
    seeds=tuple(range(20)),
    schedule=dict(log_points=0),
    probes=dict(performance=dict(), predictions=dict(examples=64)),
    sweep=(('model.widths', ((16, 16), (64, 64), (512, 512))),)))
"""
pathlib.Path('circle.py').write_text(CONFIG)
run.main(['--config=circle.py', '--out=results'])
runs = experiments.load('circle.py', out='results')

# %% [markdown]
# The limit needs the activation alone, through its *dual*: the mean of $\phi(u)\phi(v)$ over correlated Gaussians.
# `weight_std` is the config's `init_scale`, and steps are those of gradient descent with the same learning rate: the loss
# is a mean over four points.

# %%
points = np.asarray(ANGLES)
x = np.stack([np.cos(points), np.sin(points)], axis=1)
y = (x[:, :1] * x[:, 1:]).astype(np.float32)
angles = 2 * np.pi * np.arange(64) / 64  # where the task has its test points
test = np.stack([np.cos(angles), np.sin(angles)], axis=1)


@jax.jit
def limit(x, y, test):
  theory = kernels.dense(kernels.relu, hidden=2, weight_std=2**0.5, bias=0.0)
  descent = functools.partial(flow.gradient_descent, lr=jnp.float32(1.0))
  return flow.ensemble(theory, x, y, solve=descent)(jnp.float32(1000), test)


mean, covariance = limit(*(np.asarray(a, np.float32) for a in (x, y, test)))
mean, deviation = np.asarray(mean)[:, 0], np.sqrt(np.diagonal(np.asarray(covariance)))

# %%
figure, axes = plt.subplots(1, 3, figsize=(11, 3), layout='constrained', sharey=True)
for axis, one in zip(axes, runs, strict=True):
  outputs = one.arrays['predictions']
  outputs = outputs[next(name for name in outputs if outputs[name].ndim >= 3)].isel(step=-1)
  outputs = outputs.to_numpy().reshape(len(outputs['member']), -1)[:, :64]
  width = one.config['model']['widths'][0]
  turned = lambda values: np.roll(values, 32, axis=-1)  # from -pi on
  axis.plot(angles - np.pi, turned(outputs).T, color='C0', alpha=0.25, linewidth=0.8)
  low, high = turned(mean - 2 * deviation), turned(mean + 2 * deviation)
  axis.fill_between(angles - np.pi, low, high, color='gray', alpha=0.25, label='limit, two deviations')
  axis.plot(angles - np.pi, turned(mean), 'k--', label='limit, mean')
  axis.plot(points, y[:, 0], 'ko', markersize=4)
  axis.set(title=f'width {width}', xlabel='angle of the input (radians)')
  inside = np.mean(np.abs(outputs - mean) < 2 * deviation)
  print(f'width {width}: {100 * inside:.0f}% of outputs within two deviations of the limit (95% expected)')
axes[0].set_ylabel('output after 1,000 steps')
axes[0].legend(fontsize=7)
figure.suptitle('Twenty networks each, trained on four points')
figure.savefig('circle.png')

# %% [markdown]
# **What one sees.** All networks pass through the four points; between them they spread, and the spread is that of the
# starts. On so small a task already networks of width 16 lie in the band that theory gives. How fast the difference falls
# with the width is measured in [what we found in Jacot et al.](../jacot2018.md).
#
# **What to try.** Another activation needs another dual: `kernels.erf`, or `kernels.quadrature(jnp.tanh)` for any
# function.
