"""Weight Compander: A Simple Weight Reparameterization for Regularization (Cakaj, Mehnert, Yang 2023), arXiv 2306.16993."""

import re

import numpy as np
from matplotlib.figure import Figure

from analysis.claims import Claim, at_least, at_most
from analysis.series import against, last, select
from configs.cakaj2023_digits import STEPS
from paper_figures import plots
from paper_figures.paper import Get, PaperFigure

DIGITS = 'configs/cakaj2023_digits.py'
SLOW = ()

PLAIN, COMPANDED = ARMS = ('plain', 'companded')
REACH = 4.0  # of the histogram, in standard deviations
OF_GAUSSIANS = 0.0797  # the share within 0.1 standard deviations of zero


def arm(get: Get, probe: str, name: str):
  return select(get(DIGITS, probe), transforms__weight_compander__on=name == COMPANDED)


def accuracies(get: Get, name: str) -> tuple[np.ndarray, np.ndarray]:
  """(lr,) rates and (seed, lr) the test accuracy at the end."""
  return against(arm(get, 'performance', name), 'lr', 'test_accuracy', last)


def best(get: Get, name: str) -> float:
  """The rate of the best median test accuracy."""
  rates, values = accuracies(get, name)
  return rates[np.median(values, axis=0).argmax()]


def hidden(get: Get, name: str, reading: str, step: int = STEPS) -> np.ndarray:
  """(seed,) the mean over hidden matrices of a reading of `weight_shape`, or (seed, r) of an array, at the best rate."""
  rows = select(arm(get, 'weight_shape', name), lr=best(get, name), step=step)
  ends = re.compile(rf'({reading}_of/hidden_\d+/kernel)(/\d+)?')
  names = sorted({match[1] for match in map(ends.fullmatch, rows) if match})
  return np.mean([last(rows, column) for column in names], axis=0)


CHANGED = '300 digits of 8 x 8 and a dense network of 64-64-64 units; constants of the function are fixed'
ELSEWHERE = {'MNIST digits, 28 x 28': 'mnist', 'five hidden layers': 'deep', 'weight decay in both': 'decay'}
AT_BEST = f'after {STEPS} steps, each at the rate of its best median test accuracy'

CLAIMS = [
  Claim(
    name='1a',
    kind='paper',
    where='abstract',
    says='Companded weights are forced away from zero: fewer of them end near it than of plain ones',
    of=(DIGITS,),
    samples=lambda get: hidden(get, COMPANDED, 'near_zero') / hidden(get, PLAIN, 'near_zero'),
    holds=at_most(1.0),
    unit=f'share of hidden weights within 0.1 standard deviations of zero, companded over plain, {AT_BEST}',
    changed=CHANGED,
    scope=ELSEWHERE,
  ),
  Claim(
    name='1b',
    kind='paper',
    where='abstract',
    says='The magnitude of companded weights is restricted: their distribution has shorter tails than that of plain ones',
    of=(DIGITS,),
    samples=lambda get: hidden(get, COMPANDED, 'kurtosis') - hidden(get, PLAIN, 'kurtosis'),
    holds=at_most(0.0),
    unit=f'kurtosis of hidden weights, companded less plain, {AT_BEST}',
    changed=CHANGED,
    scope=ELSEWHERE,
  ),
  Claim(
    name='2',
    kind='paper',
    where='abstract',
    says='Networks with companded weights generalise better than plain ones',
    of=(DIGITS,),
    samples=lambda get: tuple(accuracies(get, name)[1] for name in (COMPANDED, PLAIN)),
    statistic=lambda companded, plain: np.median(companded, axis=0).max() - np.median(plain, axis=0).max(),
    holds=at_least(0.0),
    unit=f'median test accuracy (share) after {STEPS} steps, companded less plain, each at its best of eight rates',
    changed=CHANGED,
    scope=ELSEWHERE,
  ),
]


def compander(get: Get) -> Figure:
  figure, axes = plots.canvas(3, height=2.8)
  scores, shape, near = axes[0]
  for name, color in zip(ARMS, ('black', 'C0'), strict=True):
    plots.against(scores, *accuracies(get, name), name, color=color)
    shares = hidden(get, name, 'share')
    edges = np.linspace(-REACH, REACH, shares.shape[1] + 1)
    centers, widths = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
    plots.band(shape, centers, shares / widths, name, color=color)
    table = arm(get, 'weight_shape', name)
    steps = np.unique(table['step'])
    plots.band(near, steps, np.stack([hidden(get, name, 'near_zero', step) for step in steps], axis=1), name, color=color)
  plots.theory(shape, centers, np.exp(-(centers**2) / 2) / np.sqrt(2 * np.pi), 'Gaussian')
  plots.level(near, OF_GAUSSIANS, 'Gaussian')
  scores.set(xscale='log', title='generalising', xlabel='learning rate', ylabel='test accuracy (share)')
  scores.legend(loc='lower left')
  shape.set(title='hidden weights at the end', xlabel='w (standard deviations)', ylabel='density', ylim=(0, 0.7))
  shape.legend(loc='upper left')
  near.set(title='hidden weights near zero', xlabel='step', ylabel='share within 0.1 deviations', ylim=(0, 0.13))
  near.legend(loc='upper right')
  plots.title(figure, '300 digits of 8 x 8, MLP 64-64-64', get(DIGITS, 'performance'))
  return figure


FIGURES = [
  PaperFigure('cakaj2023', (DIGITS,), compander, 'Test accuracy and the distribution of hidden weights, companded and plain.')
]
