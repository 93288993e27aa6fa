# %% [markdown]
# # Add a paper with claims
#
# A paper enters as two files: a config, whose runs are its experiment, and a list of *claims*: sentences of the paper,
# each with the number that decides it and the interval in which the number must lie. The interval is committed **before**
# the runs that judge it; git shows that it was. Seeds that were used to look around are not the seeds that judge.
#
# Our sentence: *a larger batch ends nearer to where training began* ([1705.08741](https://arxiv.org/abs/1705.08741) has
# the distance grow with the logarithm of the steps; at equal epochs a larger batch takes fewer).

# %%
import pathlib

CONFIG = '''
"""arXiv 1705.08741, section 5: the distance from the start by batch size, at equal epochs."""
from ml_collections import ConfigDict

SIZES = (16, 64, 256)


def get_config():
  return ConfigDict(dict(
    data=dict(name='images', source='digits', train=1024, test=500),
    model=dict(name='mlp', widths=(64,)),
    loss=dict(name='cross_entropy'),
    optimizer=dict(name='sgd'),
    batch=dict(size=64, draw='epochs'),
    hyper=dict(lr=0.1),
    steps=160,
    seeds=tuple(range(200, 208)),
    schedule=dict(log_points=0),
    probes=dict(performance=dict(), distance=dict(leaves=False)),
    sweep=((('batch.size', 'steps'), tuple((n, 10 * 1024 // n) for n in SIZES)),)))
'''
pathlib.Path('batches.py').write_text(CONFIG)

# %% [markdown]
# **The claim, before the run.** Samples are one row a seed; the statistic is computed from all seeds, and the judge
# resamples the seeds and computes it anew. The claim holds where the whole 95% interval lies inside of `holds`, fails
# where it lies outside, and is undecided otherwise.

# %%
import functools

import numpy as np

from analysis.claims import Claim, at_most, between, judge, number
from analysis.fits import power_law
from analysis.series import against, last

SIZES = (16, 64, 256)
samples = lambda get: against(get('batches.py', 'distance'), 'batch.size', 'distance', last)[1]  # (seed, size)
exponent = lambda distances: power_law(SIZES, np.median(distances, axis=0)).slope
claim = functools.partial(Claim, where='section 5', kind='paper', of=('batches.py',), samples=samples, statistic=exponent)
CLAIMS = [
  claim(
    name='1a',
    says='At equal epochs a larger batch ends nearer to the start',
    holds=at_most(-0.1),
    unit='power of the batch size in the distance after ten epochs',
  ),
  claim(
    name='1b',
    says='The distance falls as the square root of the batch size',
    holds=between(-0.6, -0.4),
    unit='power of the batch size in the distance after ten epochs',
  ),
]

# %% [markdown]
# **What cannot fail is no claim.** Each has a law on which it must hold, and an opposite on which it must fail; in the
# repository they stand in `tests/paper_figures/laws`.

# %%
rng = np.random.default_rng(0)
spread = np.exp(0.02 * rng.normal(size=(8, 3)))
law, opposite = np.array(SIZES) ** -0.5 * spread, np.ones(3) * spread
print([(one.name, judge(one, law).verdict, judge(one, opposite).verdict) for one in CLAIMS])

# %%
from analysis import tables
from experiments import config, run

run.main(['--config=batches.py', '--out=results'])
get = lambda name, probe: tables.load(
  config.cells(name), probe, pathlib.Path('results'), f'python -m experiments.run --config={name}'
)
for one in CLAIMS:
  verdict = judge(one, one.samples(get))
  print(f'{verdict.verdict:9}  {one.name}  {one.says}: {number(verdict.estimate)}')

# %% [markdown]
# A claim that fails stays, with its number: that is a finding. A reason is written beside it, and called *tested* or
# *untested*.

# %%
import matplotlib.pyplot as plt

distances = samples(get)
figure, axis = plt.subplots(figsize=(4.5, 3), layout='constrained')
axis.loglog(SIZES, distances.T, 'o', color='C0', markersize=3)
axis.loglog(SIZES, np.median(distances, axis=0), color='C0', label='median of eight seeds')
axis.loglog(SIZES, np.median(distances[:, 0]) * (np.array(SIZES) / SIZES[0]) ** -0.5, 'k--', label='power -1/2')
axis.set(xlabel='batch size', ylabel='|w - w0| after ten epochs')
axis.set_xticks(SIZES, map(str, SIZES))
axis.set_xticks([], minor=True)
axis.legend()
figure.savefig('batches.png')

# %% [markdown]
# In the repository the claims stand in `paper_figures/<paper>.py`; `python -m paper_figures <paper> --register` states
# them, and `python -m paper_figures <paper> --scope` makes the runs, judges them and draws. [Adding a
# paper](../add_a_paper.md) has the rest.
