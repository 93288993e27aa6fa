"""Variance Control via Weight Rescaling in LLM Pre-training (Owen et al. 2025), arXiv 2503.17500."""

import re

import numpy as np
from matplotlib.figure import Figure

from analysis.claims import Claim, at_least, at_most
from analysis.series import against, each_seed, last, select
from configs.owen2025_text import ARMS, RATIO, START, STEPS
from paper_figures import plots
from paper_figures.paper import Get, PaperFigure

TEXT = 'configs/owen2025_text.py'
SLOW = ()

PLAIN, INDEXED, RESCALED = ARMS


def arm(get: Get, probe: str, name: str, **where):
  branches, ratio = ARMS[name]
  return select(get(TEXT, probe), init__branches_per_block=branches, interventions__tvr__ratio=ratio, **where)


def test_loss(get: Get, name: str) -> tuple[np.ndarray, np.ndarray]:
  """(target,) target standard deviations and (seed, target) the test loss at the last reading."""
  return against(arm(get, 'performance', name), 'target_std', 'test_loss', last)


def best(get: Get, name: str) -> float:
  """The target of the least median test loss."""
  targets, losses = test_loss(get, name)
  return targets[np.median(losses, axis=0).argmin()]


def spreads(get: Get, name: str) -> tuple[np.ndarray, np.ndarray]:
  """(t,) steps and (matrix, seed, t) the standard deviations of all matrices in blocks; best target."""
  table = arm(get, 'weight_shape', name, target_std=best(get, name))
  names = [column for column in table if re.match(r'spread_of/hidden_.*/kernel$', column)]
  return each_seed(table, names[0])[0], np.stack([each_seed(table, column)[1] for column in names])


def growth(get: Get, name: str) -> np.ndarray:
  """(seed,) the largest growth of the standard deviation of a matrix in a block."""
  curves = spreads(get, name)[1]
  return (curves[..., -1] / curves[..., 0]).max(axis=0)


def largest(get: Get, name: str) -> np.ndarray:
  """(seed,) the largest activation at the last reading; best target."""
  return last(arm(get, 'extremes', name, target_std=best(get, name)), 'largest')


CHANGED = f'three blocks of width 32 on the bytes of help pages, {STEPS} steps of 16 windows'
ELSEWHERE = {'five blocks': 'deep', 'half the learning rate': 'slow'}

CLAIMS = [
  Claim(
    name='1',
    kind='paper',
    where='section 1',
    says='The standard deviation of weights grows in pre-training, to twice the initial one or more, in spite of weight decay',
    of=(TEXT,),
    samples=lambda get: growth(get, PLAIN),
    holds=at_least(2.0),
    unit=f'largest growth of the standard deviation of a matrix in a block, after {STEPS} steps with weight decay 0.1',
    changed=CHANGED,
    scope=ELSEWHERE,
  ),
  Claim(
    name='2',
    kind='paper',
    where='abstract',
    says='Layer index rescaling with target variance rescaling reduces extreme activations',
    of=(TEXT,),
    samples=lambda get: largest(get, RESCALED) / largest(get, PLAIN),
    holds=at_most(1.0),
    unit=f'largest |feature| behind a block, rescaled over plain, after {STEPS} steps, at the better of two targets',
    changed=CHANGED,
    scope=ELSEWHERE,
  ),
  Claim(
    name='3',
    kind='paper',
    where='abstract',
    says='Layer index rescaling with target variance rescaling makes the language model better',
    of=(TEXT,),
    samples=lambda get: (test_loss(get, RESCALED)[1], test_loss(get, PLAIN)[1]),
    statistic=lambda rescaled, plain: np.median(rescaled, axis=0).min() - np.median(plain),
    holds=at_most(0.0),
    unit=f'median test loss (nats a byte) after {STEPS} steps, rescaled at the better of two targets less plain',
    changed=f'{CHANGED}; test loss where the paper compares downstream tasks',
    scope=ELSEWHERE,
  ),
]

COLORS = dict(zip(ARMS, ('black', 'C0', 'C1'), strict=True))


def text(get: Get) -> Figure:
  figure, axes = plots.canvas(3, height=2.9)
  weights, extremes, losses = axes[0]
  for name, color in COLORS.items():
    target = best(get, name)
    label = f'{name}, target {target:g}' if ARMS[name][1] == RATIO else name
    steps, curves = spreads(get, name)
    plots.band(weights, steps, curves.max(axis=0), label, color=color)
    plots.steps(extremes, arm(get, 'extremes', name, target_std=target), 'largest', label, color=color)
    plots.steps(losses, arm(get, 'performance', name, target_std=target), 'test_loss', label, color=color)
  plots.level(weights, RATIO * best(get, RESCALED), f'{RATIO:g} x target')
  plots.level(weights, START, 'first block at the start', linestyle='--')
  weights.set(title='block matrices', xlabel='step', ylabel='largest standard deviation', ylim=(0, 0.32))
  extremes.set(title='activations', xlabel='step', ylabel='largest |feature|', ylim=(0, 17))
  losses.set(title='test', xlabel='step', ylabel='test loss (nats a byte)', ylim=(1.8, 3.3))
  for ax in axes[0]:
    ax.legend(loc='upper left' if ax is not losses else 'upper right', fontsize=7)
  plots.title(figure, f'Bytes of text, three blocks of width 32, std {START:g} at the start', get(TEXT, 'performance'))
  return figure


FIGURES = [PaperFigure('owen2025', (TEXT,), text, 'Weights that grow and weights that are rescaled every 50 steps.')]
