"""Benign Oscillation of Stochastic Gradient Descent with Large Learning Rates (Lu, Wu, Yang, Zou 2023), arXiv 2310.17074."""

import numpy as np
from matplotlib.figure import Figure

from analysis.claims import Claim, at_least, between
from analysis.series import against, each_seed, last, select
from configs import lu2023_oscillation
from configs._lu2023 import LARGE, SMALL, STABLE
from configs.lu2023_features import STEPS
from paper_figures import plots
from paper_figures.paper import Get, PaperFigure

FEATURES = 'configs/lu2023_features.py'
STRONG = 'configs/lu2023_strong.py'
OSCILLATION = 'configs/lu2023_oscillation.py'
SLOW = ()

WEAK, STRONG_PATCH, NOISE = 0, 1, 2  # positions of the patches


# ---- statistics: one number a seed --------------------------------------------------------------------------------


def at_end(get: Get, config: str, probe: str, reading: str, lr: float) -> np.ndarray:
  """(seed,) the last reading at a learning rate."""
  return last(select(get(config, probe), lr=lr), reading)


def test_accuracy(get: Get, lr: float) -> np.ndarray:
  return at_end(get, FEATURES, 'performance', 'test_accuracy', lr)


def training_error(get: Get) -> np.ndarray:
  """(seed,) the share of training points that are classified wrongly, at the worse of the two learning rates."""
  return np.max([1 - at_end(get, FEATURES, 'performance', 'train_accuracy', lr) for lr in (SMALL, LARGE)], axis=0)


def weak_ratio(get: Get) -> np.ndarray:
  """(seed,) the largest projection on the weak feature at the large learning rate over that at the small one."""
  large, small = (at_end(get, FEATURES, 'patches', f'largest/{WEAK}', lr) for lr in (LARGE, SMALL))
  return large / small


def turning(get: Get, lr: float) -> np.ndarray:
  """(seed,) the autocorrelation at lag 1 of the changes of the loss of all training points from step to step.

  The loss is even in the residual, so its own values do not show a residual that alternates; their changes do.
  """
  _, loss = each_seed(select(get(OSCILLATION, 'performance'), lr=lr), 'train_loss')
  changes = np.diff(loss, axis=1)
  changes = changes - changes.mean(axis=1, keepdims=True)
  return np.sum(changes[:, 1:] * changes[:, :-1], axis=1) / np.sum(changes**2, axis=1)


def autocorrelation(get: Get, config: str, lr: float) -> np.ndarray:
  return at_end(get, config, 'oscillation', 'autocorrelation', lr)


MAIN, SECTION = 'main result and feature-learning experiment', 'oscillation of the training loss'
LAG = "autocorrelation at lag 1 of the loss of each step's point"
TURNS = (
  f'autocorrelation at lag 1 of the changes of the training loss from step to step, first {lu2023_oscillation.STEPS:,} steps'
)
OURS = 'squared relu, squared error, all sizes: the paper is not that exact'
ELSEWHERE = {'200 points': 'points', '400 inputs': 'inputs'}

CLAIMS = [
  Claim(
    name='1a',
    kind='paper',
    says='With a large learning rate the network classifies points that have the weak feature alone',
    where=MAIN,
    of=(FEATURES,),
    samples=lambda get: test_accuracy(get, LARGE),
    holds=between(0.95, 1.0),
    unit=f'test accuracy without the strong feature at learning rate {LARGE:g}, step {STEPS:,}',
    changed=OURS,
    scope=ELSEWHERE,
  ),
  Claim(
    name='1b',
    kind='paper',
    says='With a small learning rate the network does not classify points that have the weak feature alone',
    where=MAIN,
    of=(FEATURES,),
    samples=lambda get: test_accuracy(get, SMALL),
    holds=between(0.0, 0.65),
    unit=f'test accuracy without the strong feature at learning rate {SMALL:g}, step {STEPS:,}',
    changed=OURS,
    scope=ELSEWHERE,
  ),
  Claim(
    name='1c',
    kind='paper',
    says='With a large and with a small learning rate the network classifies its training points',
    where=MAIN,
    of=(FEATURES,),
    samples=training_error,
    holds=between(0.0, 0.01),
    unit=f'training error (share), the worse of the two learning rates, step {STEPS:,}',
    changed=OURS,
  ),
  Claim(
    name='2a',
    kind='paper',
    says='The weak feature is learned far further with a large learning rate',
    where='feature-learning experiment',
    of=(FEATURES,),
    samples=weak_ratio,
    holds=at_least(5.0),
    unit=f'max_j |<w_j, u>| at the large learning rate over that at the small one, step {STEPS:,}',
    changed=OURS,
    scope=ELSEWHERE,
  ),
  Claim(
    name='2b',
    kind='paper',
    says='With a large learning rate the training loss oscillates: a step down is followed by a step up',
    where=SECTION,
    of=(OSCILLATION,),
    samples=lambda get: turning(get, LARGE),
    holds=between(-1.0, -0.1),
    unit=f'{TURNS}, learning rate {LARGE:g}',
    changed=OURS,
    scope=ELSEWHERE,
  ),
  Claim(
    name='2c',
    kind='paper',
    says='With a small learning rate the training loss does not oscillate: a step down is followed by another',
    where=SECTION,
    of=(OSCILLATION,),
    samples=lambda get: turning(get, SMALL),
    holds=between(0.1, 1.0),
    unit=f'{TURNS}, learning rate {SMALL:g}',
    changed=OURS,
  ),
  Claim(
    name='2d',
    kind='extension',
    says='Where all points have the strong feature, the loss of its fit oscillates with a large learning rate',
    where=SECTION,
    of=(STRONG,),
    samples=lambda get: autocorrelation(get, STRONG, LARGE),
    holds=between(-1.0, -0.2),
    unit=f'{LAG}, steps 301 to 600',
    changed=OURS,
  ),
]


# ---- figures ------------------------------------------------------------------------------------------------------


def learning(get: Get) -> Figure:
  table = get(FEATURES, 'patches')
  figure, axes = plots.canvas(2, height=2.8, sharey=True)
  for ax, lr, name in zip(axes[0], (SMALL, LARGE), ('small', 'large'), strict=True):
    ax.set(xscale='log', yscale='log')
    for patch, label in ((STRONG_PATCH, 'strong feature v'), (WEAK, 'weak feature u'), (NOISE, 'noise of a point')):
      plots.steps(ax, select(table, lr=lr), f'largest/{patch}', label, color=f'C{patch}')
    ax.set(title=f'{name} learning rate, {lr:g}', xlabel='step', ylim=(0.006, 40))
  axes[0, 0].set_ylabel('largest |<w, patch>|')
  axes[0, 0].legend(loc='upper left')
  plots.title(figure, 'What the filters learn', table)
  return figure


def rates(get: Get) -> Figure:
  figure, axes = plots.canvas(3, height=2.8)
  accuracy, features, oscillation = axes[0]
  performance, patches = get(FEATURES, 'performance'), get(FEATURES, 'patches')
  for ax, table, reading, label, style in (
    (accuracy, performance, 'train_accuracy', 'training points', dict(color='C2', linestyle='--')),
    (accuracy, performance, 'test_accuracy', 'weak feature alone', dict(color='C0')),
    (features, patches, f'largest/{WEAK}', 'weak feature u', dict(color='C0')),
    (features, patches, f'largest/{STRONG_PATCH}', 'strong feature v', dict(color='C1')),
    (oscillation, get(FEATURES, 'oscillation'), 'autocorrelation', f'90% strong, steps 1 to {STEPS:,}', dict(color='C0')),
    (oscillation, get(STRONG, 'oscillation'), 'autocorrelation', 'all strong, steps 301 to 600', dict(color='C3')),
  ):
    plots.against(ax, *against(table, 'lr', reading), label, **style)
  plots.level(accuracy, 0.5, 'chance')
  plots.level(oscillation, -0.5, 'a jump at each visit: -1/2', linestyle='--')
  plots.level(oscillation, -0.2, 'claim 2d: below')
  for ax in axes[0]:
    plots.mark(ax, STABLE, 'fit on v stable up to here' if ax is accuracy else None, color='black', linestyle='-.')
    ax.set(xscale='log', xlabel='learning rate')
    plots.ticks(ax, (0.02, 0.05, 0.1, 0.2, 0.4))
    ax.legend(loc='upper left', frameon=True, edgecolor='none', framealpha=0.9)
  accuracy.set(title='accuracy', ylabel='accuracy (share)', ylim=(0.45, 1.42), yticks=(0.5, 0.6, 0.7, 0.8, 0.9, 1.0))
  features.set(title='feature learning', ylabel='largest |<w, patch>|', yscale='log', ylim=(0.03, 30))
  oscillation.set(title='oscillation of the loss', ylabel='autocorrelation at lag 1', ylim=(-0.7, 1.5))
  plots.title(figure, f'Step {STEPS:,}, but where it says otherwise', performance)
  return figure


FIGURES = [
  PaperFigure(
    'lu2023_learning', (FEATURES,), learning, 'What the filters learn over time, at a small and a large learning rate.'
  ),
  PaperFigure(
    'lu2023_rates',
    (FEATURES, STRONG),
    rates,
    'Accuracy, features and oscillation by learning rate; where a seed diverges there is a gap.',
  ),
]
