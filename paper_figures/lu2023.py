"""Benign Oscillation of Stochastic Gradient Descent with Large Learning Rates (Lu, Wu, Yang, Zou 2023), arXiv 2310.17074."""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from analysis.claims import Claim
from analysis.statistics import band
from analysis.tables import last
from paper_figures.paper import Figure, Get, canvas, curve, seeds_of, select

FEATURES = 'configs/lu2023_features.py'
STRONG = 'configs/lu2023_strong.py'
SLOW = ()

SMALL, LARGE = 0.02, 0.36
STABLE = 0.3125  # learning rate up to which a fit on the strong feature is stable: filters / (2 |v|^2)
WEAK, STRONG_PATCH, NOISE = 0, 1, 2  # positions of the patches


# ---- statistics: one number a seed --------------------------------------------------------------------------------


def at_end(get: Get, config: str, probe: str, reading: str, lr: float) -> np.ndarray:
  """(seed,) the last reading at a learning rate."""
  return last(select(get(config, probe), lr=lr), reading)


def training_error(get: Get) -> np.ndarray:
  """(seed,) the share of training points that are told wrongly, at the worse of the two learning rates."""
  return np.max([1 - at_end(get, FEATURES, 'performance', 'train_accuracy', lr) for lr in (SMALL, LARGE)], axis=0)


def weak_ratio(get: Get) -> np.ndarray:
  """(seed,) the largest projection on the weak feature at the large learning rate over that at the small one."""
  large, small = (at_end(get, FEATURES, 'patches', f'largest/{WEAK}', lr) for lr in (LARGE, SMALL))
  return large / small


CLAIMS = [
  Claim(
    'lu2023/1a',
    'With a large learning rate the network tells points that have the weak feature alone',
    'main result and feature-learning experiment',
    (FEATURES,),
    lambda get: at_end(get, FEATURES, 'performance', 'test_accuracy', LARGE),
    0.95,
    1.0,
    f'test accuracy without the strong feature at learning rate {LARGE:g}, step 10,000',
  ),
  Claim(
    'lu2023/1b',
    'With a small learning rate it does not',
    'main result and feature-learning experiment',
    (FEATURES,),
    lambda get: at_end(get, FEATURES, 'performance', 'test_accuracy', SMALL),
    0.0,
    0.65,
    f'test accuracy without the strong feature at learning rate {SMALL:g}, step 10,000',
  ),
  Claim(
    'lu2023/1c',
    'Both tell their training points',
    'main result and feature-learning experiment',
    (FEATURES,),
    training_error,
    0.0,
    0.01,
    'training error (share), the worse of the two learning rates, step 10,000',
  ),
  Claim(
    'lu2023/2a',
    'The weak feature is learned far further with a large learning rate',
    'feature-learning experiment',
    (FEATURES,),
    weak_ratio,
    5.0,
    math.inf,
    'max_j |<w_j, u>| at the large learning rate over that at the small one, step 10,000',
  ),
  Claim(
    'lu2023/2b',
    'With a large learning rate the training loss oscillates: all steps, 90 of 100 points with the strong feature',
    'oscillation of the training loss',
    (FEATURES,),
    lambda get: at_end(get, FEATURES, 'oscillation', 'autocorrelation', LARGE),
    -1.0,
    -0.2,
    "autocorrelation at lag 1 of the loss of each step's point, steps 1 to 10,000",
  ),
  Claim(
    'lu2023/2c',
    'With a small learning rate it does not',
    'oscillation of the training loss',
    (FEATURES,),
    lambda get: at_end(get, FEATURES, 'oscillation', 'autocorrelation', SMALL),
    0.0,
    1.0,
    "autocorrelation at lag 1 of the loss of each step's point, steps 1 to 10,000",
  ),
  Claim(
    'lu2023/2d',
    'Where all points have the strong feature, the loss of its fit oscillates with a large learning rate',
    'oscillation of the training loss; our isolation of it',
    (STRONG,),
    lambda get: at_end(get, STRONG, 'oscillation', 'autocorrelation', LARGE),
    -1.0,
    -0.2,
    "autocorrelation at lag 1 of the loss of each step's point, steps 301 to 600",
  ),
]


# ---- figures ------------------------------------------------------------------------------------------------------


def learning(get: Get) -> Canvas:
  table = get(FEATURES, 'patches')
  figure, axes = canvas(2, height=2.8, sharey=True)
  for ax, lr, name in zip(axes[0], (SMALL, LARGE), ('small', 'large'), strict=True):
    rows = select(table, lr=lr)
    ax.set(xscale='log', yscale='log')
    for number, label in ((STRONG_PATCH, 'strong feature v'), (WEAK, 'weak feature u'), (NOISE, 'noise of a point')):
      curve(ax, rows, f'largest/{number}', label, color=f'C{number}')
    ax.set(title=f'{name} learning rate, {lr:g}', xlabel='step', ylim=(0.006, 40))
  axes[0, 0].set_ylabel('largest |<w, patch>|')
  axes[0, 0].legend(loc='upper left')
  figure.suptitle(f'Median and range of {seeds_of([table])}', fontsize=9)
  return figure


def rates(get: Get) -> Canvas:
  figure, axes = canvas(3, height=2.8)
  accuracy, weak, waves = axes[0]
  performance, patches = get(FEATURES, 'performance'), get(FEATURES, 'patches')
  by_rate(accuracy, performance, 'train_accuracy', 'training points', 'C2', linestyle='--')
  by_rate(accuracy, performance, 'test_accuracy', 'weak feature alone', 'C0')
  accuracy.axhline(0.5, color='gray', linewidth=0.8, linestyle=':', label='chance')
  accuracy.set(title='accuracy', ylabel='accuracy (share)', ylim=(0.45, 1.42))
  accuracy.set_yticks((0.5, 0.6, 0.7, 0.8, 0.9, 1.0))
  by_rate(weak, patches, f'largest/{WEAK}', 'weak feature u', 'C0')
  by_rate(weak, patches, f'largest/{STRONG_PATCH}', 'strong feature v', 'C1')
  weak.set(title='feature learning', ylabel='largest |<w, patch>|', yscale='log', ylim=(0.03, 30))
  by_rate(waves, get(FEATURES, 'oscillation'), 'autocorrelation', '90% strong, steps 1 to 10,000', 'C0')
  by_rate(waves, get(STRONG, 'oscillation'), 'autocorrelation', 'all strong, steps 301 to 600', 'C3')
  waves.axhline(-0.5, color='gray', linewidth=0.8, linestyle='--', label='a jump at each visit: -1/2')
  waves.axhline(-0.2, color='gray', linewidth=0.8, linestyle=':', label='claims 2b, 2d: below')
  waves.set(title='oscillation of the loss', ylabel='autocorrelation at lag 1', ylim=(-0.7, 1.5))
  for ax, place in ((accuracy, 'upper left'), (weak, 'upper left'), (waves, 'upper left')):
    label = 'fit on v stable up to here' if ax is accuracy else None
    ax.axvline(STABLE, color='black', linewidth=0.8, linestyle='-.', label=label)
    ax.set(xscale='log', xlabel='learning rate')
    ax.set_xticks((0.02, 0.05, 0.1, 0.2, 0.4), ('0.02', '0.05', '0.1', '0.2', '0.4'))
    ax.minorticks_off()
    ax.legend(loc=place, frameon=True, edgecolor='none', framealpha=0.9)
  figure.suptitle(f'Step 10,000, but where it says otherwise; median and range of {seeds_of([performance])}', fontsize=9)
  return figure


def by_rate(ax: Axes, table, reading: str, label: str, colour: str, **style) -> None:
  """The last reading against the learning rate: median and range over seeds."""
  found = np.array(sorted(table['lr'].unique()))
  middle, low, high = band(np.stack([last(select(table, lr=lr), reading) for lr in found], axis=1))
  ax.plot(found, middle, marker='.', color=colour, label=label, **style)
  ax.fill_between(found, low, high, color=colour, alpha=0.2, linewidth=0)


FIGURES = [
  Figure('lu2023_learning', (FEATURES,), learning, 'What the filters learn over time, at a small and a large learning rate.'),
  Figure(
    'lu2023_rates',
    (FEATURES, STRONG),
    rates,
    'Accuracy, features and oscillation by learning rate; where a seed diverges there is a gap.',
  ),
]
